//! The policies followed against a made-up API server: without its CRD, with it, and with what the
//! server does not take.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use kube::Config;
use lockc_policy::config::ClusterPolicies;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::*;

const ITEMS: &str = "/apis/lockc.org/v1alpha1/confinementpolicies";

/// What the server has, and what it was told.
#[derive(Default)]
struct Cluster {
    /// Nothing without the CRD.
    objects: Option<BTreeMap<String, Value>>,
    nodes: Vec<&'static str>,
    /// Field manager and object of each status that was applied.
    applied: Vec<(String, Value)>,
    /// Statuses that are refused before one is taken.
    refusals: usize,
}

impl Cluster {
    /// The status code and the body; nothing for a watch, which stays open.
    fn answer(&mut self, method: &str, target: &str, body: &str) -> Option<(u16, Value)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let error = |code: u16| {
            let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
                "code": code, "reason": if code == 404 { "NotFound" } else { "Conflict" },
                "message": "no" });
            Some((code, status))
        };
        if let Some(name) = path.strip_prefix("/api/v1/nodes/") {
            return match self.nodes.contains(&name) {
                true => Some((
                    200,
                    json!({ "apiVersion": "v1", "kind": "Node",
                    "metadata": { "name": name } }),
                )),
                false => error(404),
            };
        }
        let Some(objects) = &mut self.objects else { return error(404) };
        match (method, path.strip_prefix(ITEMS)) {
            ("GET", Some("")) if query.contains("watch=true") => None,
            ("GET", Some("")) => Some((
                200,
                json!({ "kind": "ConfinementPolicyList",
                "apiVersion": "lockc.org/v1alpha1", "metadata": { "resourceVersion": "7" },
                "items": objects.values().collect::<Vec<_>>() }),
            )),
            ("PATCH", Some(_)) if self.refusals > 0 => {
                self.refusals -= 1;
                error(409)
            }
            ("PATCH", Some(rest)) => {
                let name = rest.trim_matches('/').strip_suffix("/status").unwrap();
                let manager = query.split('&').find_map(|pair| pair.strip_prefix("fieldManager="));
                let Some(object) = objects.get_mut(name) else { return error(404) };
                assert!(query.contains("force=true"), "{query}");
                self.applied
                    .push((manager.unwrap().to_owned(), serde_json::from_str(body).unwrap()));
                Some((200, object.clone()))
            }
            _ => error(405),
        }
    }
}

fn serve(mut stream: TcpStream, cluster: &Mutex<Cluster>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut head, mut length) = (String::new(), 0);
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let words: Vec<&str> = head.split_whitespace().collect();
        let body = String::from_utf8(body).unwrap();
        let answer = cluster.lock().unwrap().answer(words[0], words[1], &body);
        let sent = match answer {
            Some((code, body)) => {
                let body = body.to_string();
                write!(
                    stream,
                    "HTTP/1.1 {code} x\r\ncontent-type: application/json\r\ncontent-length: \
                     {}\r\n\r\n{body}",
                    body.len()
                )
            }
            // Chunks that never come.
            None => write!(stream, "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n"),
        };
        if sent.is_err() {
            return;
        }
    }
}

/// A client of a server that has this.
fn client(runtime: &tokio::runtime::Runtime, cluster: Cluster) -> (Client, Arc<Mutex<Cluster>>) {
    let _entered = runtime.enter();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let cluster = Arc::new(Mutex::new(cluster));
    let served = Arc::clone(&cluster);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let served = Arc::clone(&served);
            thread::spawn(move || serve(stream, &served));
        }
    });
    let config = Config::new(format!("http://{address}").parse().unwrap());
    (Client::try_from(config).unwrap(), cluster)
}

fn object(name: &str, spec: Value, nodes: &[&str]) -> (String, Value) {
    let entries: Vec<Value> = nodes.iter().map(|node| json!({ "name": node })).collect();
    let object = json!({ "apiVersion": "lockc.org/v1alpha1", "kind": "ConfinementPolicy",
        "metadata": { "name": name, "uid": format!("uid-{name}"), "generation": 4 },
        "spec": spec, "status": { "nodes": entries } });
    (name.to_owned(), object)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Follows in the background until something holds, at most a minute.
async fn until(
    client: Client,
    files: &Files,
    node: &str,
    holds: impl Fn() -> bool,
) -> Result<(), &'static str> {
    let following = follow(client, files, Some(node.to_owned()), Duration::from_secs(1));
    let holding = async {
        while !holds() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        result = following => panic!("{result:?}"),
        result = timeout(Duration::from_secs(60), holding) => result.map_err(|_| "too late"),
    }
}

fn files(directory: &Path) -> Files {
    Files {
        policies: directory.join("policies.json"),
        config: directory.join("lockc.toml"),
        owner: Some(directory.metadata().unwrap().uid()),
    }
}

#[test]
fn the_crd_may_come_later_and_each_object_gets_the_nodes_word() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    fs::write(&files.config, "[policies.own]\nextends = 'restricted'\n").unwrap();
    fs::set_permissions(&files.config, fs::Permissions::from_mode(0o644)).unwrap();
    let runtime = self::runtime();
    let (client, cluster) = client(&runtime, Cluster { refusals: 1, ..Cluster::default() });
    let later = Arc::clone(&cluster);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        later.lock().unwrap().objects = Some(BTreeMap::from([
            object("good", json!({ "extends": "own" }), &[]),
            object("bad", json!({ "extends": "none-such" }), &[]),
            object("own", json!({ "extends": "privileged" }), &[]),
        ]));
    });
    runtime
        .block_on(until(client, &files, "n", || cluster.lock().unwrap().applied.len() >= 3))
        .unwrap();
    let kept = ClusterPolicies::load(&files.policies, &files.view()).unwrap().unwrap();
    let names: Vec<(&str, i64)> =
        kept.policies.iter().map(|(name, kept)| (name.as_str(), kept.generation)).collect();
    assert_eq!(names, [("good", 4)]);
    let applied = &cluster.lock().unwrap().applied;
    for (name, ready, says) in
        [("good", true, ""), ("bad", false, "none-such"), ("own", false, "takes precedence")]
    {
        let of = |(_, object): &&(String, Value)| object["metadata"]["name"] == name;
        let (manager, object) = applied.iter().find(of).unwrap();
        let entry = &object["status"]["nodes"][0];
        assert_eq!(manager, "lockc-node-n");
        assert_eq!((&entry["name"], &entry["ready"]), (&json!("n"), &json!(ready)), "{name}");
        assert_eq!(entry["observedGeneration"], 4);
        assert!(entry["message"].as_str().unwrap_or_default().contains(says), "{object}");
    }
}

#[test]
fn entries_of_nodes_that_are_gone_are_removed_in_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let spec = json!({ "extends": "baseline" });
    let all = ["a", "gone-1", "gone-2", "n", "z-gone"];
    let runtime = self::runtime();
    let (client, cluster) = client(
        &runtime,
        Cluster {
            objects: Some(BTreeMap::from([object("p", spec, &all)])),
            nodes: vec!["a", "n"],
            ..Cluster::default()
        },
    );
    let emptied = |cluster: &Cluster| -> Vec<String> {
        let empty = |(_, object): &&(String, Value)| object.get("status").is_none();
        cluster.applied.iter().filter(empty).map(|(manager, _)| manager.clone()).collect()
    };
    runtime
        .block_on(until(client, &files(dir.path()), "n", || {
            !emptied(&cluster.lock().unwrap()).is_empty()
        }))
        .unwrap();
    let removed = emptied(&cluster.lock().unwrap());
    // Those between `a` and `n` are for `a` to remove.
    assert!(removed.iter().all(|manager| manager == "lockc-node-z-gone"), "{removed:?}");
}

#[test]
fn a_node_that_lockc_leaves_takes_back_its_word() {
    let spec = json!({ "extends": "baseline" });
    let runtime = self::runtime();
    let (client, cluster) = client(
        &runtime,
        Cluster {
            objects: Some(BTreeMap::from([
                object("p", spec.clone(), &["a", "n"]),
                object("q", spec, &["a"]),
            ])),
            ..Cluster::default()
        },
    );
    runtime.block_on(withdraw(client.clone(), "n".into())).unwrap();
    {
        let applied = &cluster.lock().unwrap().applied;
        assert_eq!(applied.len(), 1, "{applied:?}");
        let (manager, object) = &applied[0];
        assert_eq!((manager.as_str(), &object["metadata"]["name"]), ("lockc-node-n", &json!("p")));
        assert!(object.get("status").is_none());
    }
    cluster.lock().unwrap().objects = None;
    runtime.block_on(withdraw(client, "n".into())).unwrap();
}

#[test]
fn without_an_answer_the_file_is_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let spec = lockc_policy::policy::cluster::spec(&json!({ "extends": "baseline" })).unwrap();
    let kept =
        lockc_policy::config::cluster::ClusterPolicy { uid: "u".into(), generation: 1, spec };
    let kept = ClusterPolicies { version: 1, policies: BTreeMap::from([("p".into(), kept)]) };
    fs::write(&files.policies, json!(kept).to_string()).unwrap();
    fs::set_permissions(&files.policies, fs::Permissions::from_mode(0o644)).unwrap();
    let mut follower = Follower::new(&files);
    let absent = || {
        let status = kube::core::Status { code: 404, ..kube::core::Status::default() };
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    };
    assert!(!follower.take(Err(absent())).unwrap());
    assert!(!follower.take(Err(watcher::Error::NoResourceVersion)).unwrap());
    assert!(!follower.take(Ok(Event::Init)).unwrap());
    assert!(!follower.take(Err(absent())).unwrap());
    assert_eq!(ClusterPolicies::load(&files.policies, &files.view()).unwrap(), Some(kept));
    // For two minutes without another answer: there is no CRD, and so there are no objects.
    follower.absent = Instant::now().checked_sub(ABSENT);
    assert!(follower.take(Err(absent())).unwrap());
    assert!(!files.policies.exists());
}
