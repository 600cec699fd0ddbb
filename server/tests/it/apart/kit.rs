//! A small cluster: a Redis of its own, the CQL server that the environment names, and processes over both.

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::{Instant, SystemTime};

use hubbub_domain::identity::Caller;
use hubbub_loadtest::client::ClientError;
use hubbub_loadtest::client::account::Account;
use hubbub_loadtest::client::http::{Answer, Http, Target};
use hubbub_protocol::member::SenderType;
use hubbub_protocol::{ClientMessageId, ConversationId, Timestamp};
use hubbub_storage::bus::testing::RedisServer;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Hubbub, PATIENCE, Ran, Running};
use crate::wire::Person;

/// Names the CQL server.
const SERVER: &str = "HUBBUB_TEST_CQL";
/// The keyspace of all these tests.
const KEYSPACE: &str = "hubbub_apart";

static SKIPPED: Once = Once::new();

/// What processes share.
pub(super) struct Cluster {
    pub(super) redis: RedisServer,
    cql: String,
    folder: TempDir,
}

/// A process about to run.
pub(super) struct Starting {
    hubbub: Hubbub,
    data: PathBuf,
    listen: String,
}

/// A process that was started; ready, once it was waited for.
pub(super) struct Process {
    pub(super) running: Running,
    pub(super) target: Target,
    data: PathBuf,
}

impl Cluster {
    /// A cluster without a process; none, said loudly, where a service is missing.
    pub(super) fn start() -> Option<Self> {
        let cql = std::env::var(SERVER).ok().filter(|server| !server.is_empty());
        let Some(cql) = cql else {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{SERVER} names no CQL server");
            // Not by a macro, whose words a passing test keeps to itself.
            SKIPPED.call_once(|| {
                writeln!(stderr(), "SKIPPED: every test of processes that run apart, as {SERVER} names no server")
                    .unwrap();
            });
            return None;
        };
        let redis = RedisServer::start().expect("the redis-server starts")?;
        let cluster = Self { redis, cql, folder: tempfile::tempdir().expect("a folder can be made") };
        for name in ["token.key", "cluster.key"] {
            cluster.secret(name);
        }
        Some(cluster)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new secret under this name; where it is.
    pub(super) fn secret(&self, name: &str) -> String {
        let path = self.folder().join(name);
        assert_eq!(Hubbub::new(["secret"]).arg(&path).run().code, Some(0));
        path.display().to_string()
    }

    /// A process of this role, over the store and the bus.
    pub(super) fn process(&self, role: &str) -> Starting {
        // One that it does not have, and that nobody makes.
        let data = self.folder().join(format!("data-{}", ClientMessageId::generate()));
        let secret = self.folder().join("cluster.key");
        let hubbub =
            Hubbub::new(["serve", "--role", role, "--store", "cql", "--cql", &self.cql, "--log-level", "info"]);
        let hubbub = hubbub.arg("--data").arg(&data).arg("--redis").arg(self.redis.url());
        let settings = [
            format!("cql.keyspace={KEYSPACE}"),
            "cql.replication=1".to_owned(),
            format!("cluster.secret_file={}", secret.display()),
            format!("redis.prefix={}", self.redis.port()),
        ];
        let hubbub = settings.iter().fold(hubbub, |hubbub, setting| hubbub.set(setting));
        Starting { hubbub, data, listen: "127.0.0.1:0".to_owned() }
    }

    /// One that serves REST, without limits of rates.
    pub(super) fn rest(&self) -> Starting {
        let key = self.folder().join("token.key");
        let rates = ["rest.auth_per_minute=0", "rest.general_per_minute=0"];
        rates
            .iter()
            .fold(self.process("rest").set(&format!("keys.file={}", key.display())), |rest, rate| rest.set(rate))
    }

    /// One that takes sockets, with the keys of these.
    pub(super) fn hub(&self, keys: &[&Process]) -> Starting {
        let url = |process: &&Process| format!("http://{}/.well-known/jwks.json", process.running.address());
        let urls: Vec<_> = keys.iter().map(url).collect();
        self.process("hub").set(&format!("keys.jwks={}", urls.join(",")))
    }
}

impl Starting {
    pub(super) fn set(self, assignment: &str) -> Self {
        Self { hubbub: self.hubbub.set(assignment), ..self }
    }

    pub(super) fn listen(self, address: &str) -> Self {
        Self { listen: address.to_owned(), ..self }
    }

    /// Runs it to its end.
    pub(super) fn run(self) -> Ran {
        self.hubbub.args(&["--listen", &self.listen]).run()
    }

    pub(super) fn start(self) -> Process {
        self.launch().ready()
    }

    pub(super) fn launch(self) -> Process {
        let running = self.hubbub.args(&["--listen", &self.listen]).launch();
        Process { running, target: Target::from(std::net::SocketAddr::from(([0; 4], 0))), data: self.data }
    }
}

impl Process {
    pub(super) fn ready(self) -> Self {
        let running = self.running.ready();
        let target = Target::from(running.address().parse::<std::net::SocketAddr>().expect("an address"));
        Self { running, target, ..self }
    }

    /// The data folder that it was told of.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    pub(super) fn http(&self) -> Http {
        Http::new(self.target.clone())
    }

    /// A new person of this name, whose address nobody had before.
    pub(super) async fn person(&self, name: &str) -> Person {
        let account = Account::register(&self.target, None, &address(name), name).await.expect("registered");
        Person { account: Arc::new(account), target: self.target.clone() }
    }

    /// The same, with the tokens in hand.
    pub(super) async fn login(&self, name: &str) -> Login {
        let body = json!({
            "email": address(name), "account_password": "correct horse battery", "display_name": name,
            "token_transport": "body",
        });
        Login::of(self.http().post("/auth/register", None, &body).await.expect("registered"))
    }

    /// The next tokens of a login.
    pub(super) async fn refresh(&self, login: &Login) -> Result<Login, ClientError> {
        let body = json!({"refresh_token": login.refresh});
        self.http().post("/auth/refresh", None, &body).await.map(Login::of)
    }

    /// Sends a message by REST; its sequence.
    pub(super) async fn send_by_rest(&self, sender: &Person, conversation: ConversationId, payload: &str) -> u64 {
        let body = json!({
            "client_message_id": ClientMessageId::generate().to_string(), "content_type": "text",
            "encrypted_payload": hubbub_protocol::Payload::from(payload.as_bytes().to_vec()),
        });
        let path = format!("/conversations/{conversation}/messages");
        let answer: Answer<Value> = self.http().post(&path, Some(&sender.account.token()), &body).await.expect("sent");
        answer.data["conversation_seq"].as_u64().expect("a sequence")
    }

    /// Waits until readiness says this; answers all that it said.
    pub(super) fn wait_until_ready_says(&self, words: &str) -> String {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let answer = self.running.get("/health/ready");
            if answer.contains(words) {
                return answer;
            }
            assert!(Instant::now() < give_up, "never {words}: {answer}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

fn address(name: &str) -> String {
    format!("{name}-{}@example.org", ClientMessageId::generate())
}

/// A login, with its tokens.
pub(super) struct Login {
    pub(super) access: String,
    refresh: String,
    pub(super) answer: Value,
}

impl Login {
    fn of(answer: Answer<Value>) -> Self {
        let answer = answer.data;
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Self { access: text("access_token"), refresh: text("refresh_token"), answer }
    }

    /// Whom its access token names, for whoever would forge one.
    pub(super) fn caller(&self) -> Caller {
        let id = |name: &str| self.answer[name].as_str().expect("an id");
        Caller {
            user_id: id("user_id").parse().expect("an id"),
            session_id: id("session_id").parse().expect("an id"),
            device_id: id("device_id").parse().expect("an id"),
            kind: SenderType::Human,
            expires_at: now().plus_ms(200_000),
        }
    }
}

pub(super) fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    Timestamp::from_ms(i64::try_from(since_1970.as_millis()).expect("it is long before the end"))
}
