//! Sockets of the host.

use super::*;

#[test]
fn sockets_of_the_host_are_refused_unless_they_are_named() {
    let mut fake = FakeHost::default();
    for path in ["/run/docker.sock", "/home/u/renamed"] {
        fake.kinds.insert(path.into(), Kind::Socket);
    }
    let policy = Policy::for_level(Level::Baseline, "x");
    for source in ["/var/run/docker.sock", "/run/docker.sock", "/home/u/renamed"] {
        let violations =
            check_with(&bind(source, "/s"), &policy, &Settings::default(), &fake).unwrap_err();
        assert_eq!(violations[0].control, Control::HostSockets);
        assert!(violations[0].remedy.contains("allowed_sockets"));
    }
    let config =
        Settings { allowed_sockets: vec!["/var/run/docker.sock".into()], ..Settings::default() };
    let grants = check_with(&bind("/run/docker.sock", "/s"), &policy, &config, &fake).unwrap();
    assert_eq!(grants.sockets[0].path, Path::new("/run/docker.sock"));
    let policy = policy.admitting(Control::HostSockets);
    let grants =
        check_with(&bind("/home/u/renamed", "/s"), &policy, &Settings::default(), &fake).unwrap();
    assert_eq!(grants.sockets.len(), 1);
}

#[test]
fn named_sockets_are_granted_with_a_directory_around_them() {
    let mut fake = FakeHost::default();
    fake.kinds.insert("/srv/app/a.sock".into(), Kind::Socket);
    fake.kinds.insert("/srv/app/b.txt".into(), Kind::Socket);
    fake.mount("8:1", "/srv/app", "/mnt/again");
    let named = ["/srv/app/*.sock", "/srv/other/x.sock"].map(PathBuf::from).to_vec();
    let config = Settings { allowed_sockets: named.clone(), ..Settings::default() };
    let policy = Policy::for_level(Level::Baseline, "x");
    let grants = |source: &str| check_with(&bind(source, "/s"), &policy, &config, &fake);
    assert_eq!(grants("/srv/app/a.sock").unwrap().sockets[0].path, Path::new("/srv/app/a.sock"));
    assert_eq!(grants("/srv/app/b.txt").unwrap_err()[0].control, Control::HostSockets);
    for around in ["/srv", "/srv/app", "/mnt/again"] {
        assert_eq!(grants(around).unwrap().named_sockets.first(), Some(&named[0]), "{around}");
    }
    assert!(grants("/srv/app/below").unwrap().named_sockets.is_empty());
    assert!(grants("/home/u/data").unwrap().named_sockets.is_empty());
}

#[test]
fn conmons_socket_for_notifications_is_given_with_its_directory_and_no_other() {
    let folder = |owner: &str| {
        format!("/var/lib/containers/storage/overlay-containers/{owner}/userdata/notify")
    };
    let policy = Policy::for_level(Level::Baseline, "x");
    let grants =
        |spec: &Value, view: &FakeHost| check_with(spec, &policy, &Settings::default(), view);
    let socket = PathBuf::from(folder(ID)).join("notify.sock");
    let mut fake = FakeHost::default();
    fake.absent.push(socket.clone());
    assert!(
        grants(&bind(&folder(ID), "/run/notify"), &fake).unwrap().sockets.is_empty(),
        "no socket"
    );
    fake.absent.clear();
    assert_eq!(grants(&bind(&folder(ID), "/run/notify"), &fake).unwrap().sockets[0].path, socket);
    assert!(grants(&bind(&folder(ID), "/elsewhere"), &fake).unwrap().sockets.is_empty());
    fake.kinds.insert(PathBuf::from(folder(OTHER)).join("notify.sock"), Kind::Socket);
    assert!(grants(&bind(&folder(OTHER), "/run/notify"), &fake).is_err(), "another container's");
    // What the container put there leads elsewhere.
    fake.link(socket.to_str().unwrap(), "/run/docker.sock");
    fake.kinds.insert("/run/docker.sock".into(), Kind::Socket);
    assert!(grants(&bind(&folder(ID), "/run/notify"), &fake).unwrap().sockets.is_empty());
}
