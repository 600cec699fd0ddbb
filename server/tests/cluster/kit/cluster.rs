//! A cluster of hubs over the three CQL nodes and a Redis; one at a time.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use super::cql::Cql;
use super::hub::Hub;
use super::redis::Redis;
use super::{run, seed, skip};

/// Who has the machine.
static TURN: Mutex<()> = Mutex::new(());

/// Takes the machine: tests like these would starve each other.
pub(crate) fn take_turn() -> MutexGuard<'static, ()> {
    // A test that failed has left nothing broken.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hubs, and what they stand on. Dropped in this order.
pub(crate) struct Cluster {
    /// Those with sockets.
    pub(crate) hubs: Vec<Hub>,
    /// Those that serve REST alone.
    pub(crate) rests: Vec<Hub>,
    pub(crate) redis: Redis,
    pub(crate) cql: &'static Cql,
    pub(crate) seed: u64,
    _folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// What all processes of a cluster are told.
pub(crate) struct Told<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) cql: &'a str,
    pub(crate) redis: Option<&'a str>,
    /// Copies of all data. Said, as nodes that have just met may not all be seen yet.
    pub(crate) replication: usize,
    pub(crate) keyspace: &'a str,
}

impl Told<'_> {
    /// The arguments of the process with this name.
    pub(crate) fn arguments(&self, name: &str, more: &[&str]) -> Vec<OsString> {
        let [secret, key] = ["cluster.secret", "token.key"].map(|name| self.folder.join(name));
        for file in [&secret, &key].into_iter().filter(|file| !file.exists()) {
            run(Command::new(env!("CARGO_BIN_EXE_hubbub")).arg("secret").arg(file)).expect("a secret is made");
        }
        let mut words: Vec<OsString> =
            ["--store", "cql", "--cql", self.cql, "--log-format", "text", "--log-level", "info,hubbub_rest=warn"]
                .map(OsString::from)
                .to_vec();
        words.extend(["--data".into(), self.folder.join(name).into()]);
        let mut settings = vec![
            format!("cql.keyspace={}", self.keyspace),
            format!("cql.replication={}", self.replication),
            format!("keys.file={}", key.display()),
            "rest.auth_per_minute=0".to_owned(),
            "rest.general_per_minute=0".to_owned(),
        ];
        if let Some(redis) = self.redis {
            words.extend(["--redis".into(), redis.into()]);
            settings.push(format!("cluster.secret_file={}", secret.display()));
        }
        words.extend(settings.iter().flat_map(|setting| ["--set".into(), setting.into()]));
        words.extend(more.iter().map(OsString::from));
        words
    }
}

impl Cluster {
    /// Three processes that do all, with these arguments besides.
    pub(crate) fn of_three(more: &[&str]) -> Option<Self> {
        Self::start(more, 3, 0)
    }

    /// Two hubs, and a process that serves REST.
    pub(crate) fn apart() -> Option<Self> {
        Self::start(&[], 2, 1)
    }

    fn start(more: &[&str], hubs: usize, rests: usize) -> Option<Self> {
        let turn = take_turn();
        let (cql, redis) = match (Cql::three(), Redis::start()) {
            (Ok(cql), Ok(redis)) => (cql, redis),
            (Err(why), _) | (_, Err(why)) => {
                skip(&why);
                return None;
            }
        };
        let folder = tempfile::tempdir().expect("a folder can be made");
        // One for all tests of this process: making tables takes three nodes a while.
        let keyspace = format!("hubbub_chaos_{}", std::process::id());
        let (addresses, redis_url) = (&cql.addresses, Some(redis.url.as_str()));
        let told =
            Told { folder: folder.path(), cql: addresses, redis: redis_url, replication: 3, keyspace: &keyspace };
        let start = |name: String, own: &[&str]| {
            let words = told.arguments(&name, &[more, own].concat());
            Hub::start(words, folder.path().join(format!("{name}.log")))
        };
        let rests: Vec<Hub> = (0..rests).map(|number| start(format!("rest-{number}"), &["--role", "rest"])).collect();
        let keys: Vec<String> =
            rests.iter().map(|rest| format!("keys.jwks={}/.well-known/jwks.json", rest.url())).collect();
        let own: Vec<&str> = keys.first().map(|keys| vec!["--role", "hub", "--set", keys.as_str()]).unwrap_or_default();
        let hubs = (0..hubs).map(|number| start(format!("hub-{number}"), &own)).collect();
        let seed = seed();
        println!("seed {seed} (HUBBUB_CHAOS_SEED={seed} repeats it)");
        Some(Self { hubs, rests, redis, cql, seed, _folder: folder, _turn: turn })
    }

    /// Where sockets are taken.
    pub(crate) fn urls(&self) -> String {
        self.hubs.iter().map(Hub::url).collect::<Vec<_>>().join(",")
    }

    /// Where REST is served, if not there.
    pub(crate) fn rest_urls(&self) -> Option<String> {
        let urls: Vec<String> = self.rests.iter().map(Hub::url).collect();
        (!urls.is_empty()).then(|| urls.join(","))
    }
}
