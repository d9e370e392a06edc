//! Overlays, whoever mounts them.

use super::*;
use crate::{admission::grants::Layer, host::mount_table::Part};

#[test]
fn an_overlay_that_the_runtime_mounts_is_of_the_engines_own_directories() {
    let mut fake = FakeHost::default();
    fake.texts.insert(
        "/var/lib/containers/storage/overlay-images/images.json".into(),
        br#"[{"id":"i","layer":"img","mapped-layers":["mapped"]},{"id":"j"}]"#.to_vec(),
    );
    let storage = "/var/lib/containers/storage";
    fake.link(&format!("{storage}/volumes/v/_data/link"), "/etc");
    let check_at = |level: Level, options: &[&str]| {
        let options: Vec<String> =
            options.iter().map(|option| option.replace('@', storage)).collect();
        let mount = json!([{ "destination": "/d", "type": "overlay", "source": "overlay",
            "options": options }]);
        check_as(Engine::Podman, &with("/mounts", mount), &Policy::for_level(level, "x"), &fake)
    };
    let check = |options: &[&str]| check_at(Level::Restricted, options).is_ok();
    let own = [
        "upperdir=@/overlay-containers/c1/userdata/overlay/7/upper",
        "workdir=@/overlay-containers/c1/userdata/overlay/7/work",
    ];
    let of = |lower: &str| check(&[&format!("lowerdir={lower}"), own[0], own[1], "private"]);
    assert!(of("@/volumes/v/_data"), "-v v:/d:O");
    assert!(
        of("@/overlay/img/merged") && of("@/overlay/mapped/merged"),
        "--mount type=image,rw=true"
    );
    for lower in [
        "/etc",
        "/srv/data",
        "@/overlay/other/merged",
        "@/volumes/v/_data/link",
        "@/overlay-containers/c2/userdata/secrets",
        "@/volumes/v/_data:/etc",
        "relative",
    ] {
        assert!(!of(lower), "{lower}");
    }
    let lower = "lowerdir=@/volumes/v/_data";
    for options in [
        &[lower, "upperdir=/etc", own[1]][..],
        &[lower, "lowerdir+=/etc"],
        &[lower, "a=b"],
        &["lowerdir=@/volumes/v/_data\\:/etc"],
        &[],
    ] {
        assert!(!check(options), "{options:?}");
    }
    assert!(check(&[lower, "ro"]));
    // `-v /srv/data:/d:O`: as if it were bind-mounted, and the kernel side has to tell.
    let parts = |options: &[&str]| {
        let layers = check_at(Level::Baseline, options).ok()?.layers;
        Some(layers.iter().map(|layer| (layer.part, layer.may_move)).collect::<Vec<_>>())
    };
    let fixed = (Part::Upper, false);
    let of = |lower: &str| parts(&[&format!("lowerdir={lower}"), own[0], own[1]]);
    assert_eq!(of("/srv/data"), Some(vec![(Part::Lower, true), fixed, fixed]));
    for volume in ["@/volumes/v/_data", "@/volumes/v/_data/in"] {
        assert_eq!(of(volume), Some(vec![(Part::Lower, true), fixed, fixed]), "{volume}");
    }
    assert_eq!(of("@/overlay/img/merged"), Some(vec![(Part::Lower, false), fixed, fixed]));
    for lower in ["/etc", "/srv/data:/etc", "srv/data", "/home/user", "/", "/srv/data/../../etc"] {
        assert_eq!(of(lower), None, "{lower}");
    }
    for (upper, work) in [("/srv/u", "/srv/w"), ("@/volumes/v/_data/in", "@/volumes/v/_data/in2")] {
        let words = [format!("upperdir={upper}"), format!("workdir={work}")];
        assert_eq!(
            parts(&["lowerdir=/srv/data", &words[0], &words[1]]),
            None,
            "the runtime changes them at once"
        );
    }
}

#[test]
fn an_overlay_that_was_mounted_before_is_asked_for_its_layers() {
    let volume = "/var/lib/docker/volumes/v/_data";
    let check = |options: &str| {
        let mut fake = FakeHost::default();
        fake.mount_new("overlay", "overlay", options, volume);
        let policy = Policy::for_level(Level::Baseline, "x");
        let grants =
            check_as(Engine::Docker, &bind(&format!("{volume}/in"), "/x"), &policy, &fake).unwrap();
        let told = |layer: &Layer| (layer.part, layer.opened.path.display().to_string());
        grants.layers.iter().map(told).collect::<Vec<_>>()
    };
    let whole =
        |moving: &str| vec![(Part::Lower, moving.to_owned()), (Part::Whole, volume.to_owned())];
    assert_eq!(check("ro,lowerdir=/srv/a"), whole("/srv/a"));
    for layer in ["/var/lib/docker/volumes/a/_data", "/var/lib/docker/volumes/a/_data/sub"] {
        assert_eq!(check(&format!("ro,lowerdir={layer}")), whole(layer));
    }
}
