//! Default runtimes that other drop-ins set.

use super::*;

#[test]
fn defaults_of_other_drop_ins_are_not_displaced_silently() {
    let cases = [
        (
            Engine::Podman,
            "/etc/containers/containers.conf.d",
            "[engine]\nruntime = 'nvidia'\n[engine.runtimes]\nnvidia = ['/opt/nv']\n",
        ),
        (
            Engine::Crio,
            "/etc/crio/crio.conf.d",
            "[crio.runtime]\ndefault_runtime = 'nvidia'\n[crio.runtime.runtimes.nvidia]\n\
             runtime_path = '/opt/nv'\n",
        ),
    ];
    for (engine, directory, text) in cases {
        let fake = Fake::usual(engine, None);
        fake.put(&format!("{directory}/10-gpu.conf"), text);
        let said = |result: Result<Report>| format!("{:#}", result.unwrap_err());
        let refused = said(fake.install(&[], true));
        assert!(refused.contains("the default runtime is nvidia (/opt/nv)"), "{refused}");
        assert!(fake.install(&[], false).is_ok());
        fake.put("/opt/nv", "");
        fake.put("/etc/lockc/lockc.toml", "runtimes = ['/opt/nv']\n");
        fake.install(&[], true).unwrap();
        fake.put(&format!("{directory}/99-z.conf"), text);
        let refused = said(fake.install(&[], false));
        assert!(refused.contains("99-z.conf sets"), "{refused}");
    }
}
