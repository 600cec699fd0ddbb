//! The effective configuration: defaults, then the file, then the environment, then flags, the later the stronger.
//!
//! Read once at the start. Unknown keys are refused, and every mistake of every source is told at once. Each setting is
//! declared in one place, where its section asks the reader for it.

mod cluster;
mod cql;
mod form;
mod hub;
mod keys;
mod log;
mod mistake;
mod reader;
mod rest;
mod secret;
mod shown;
mod sources;
mod stop;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use hubbub_hub::HubConfig;
use hubbub_rest::network::Network;

pub use cluster::{ClusterSection, RedisSection};
pub use cql::CqlSection;
pub use keys::{KeySource, KeysSection};
pub use log::LogSection;
pub use mistake::{Mistake, Mistakes, Source};
pub use reader::Setting;
pub use rest::{CookieSecure, RestSection};
pub use secret::Secret;
pub use shown::{as_example, as_toml};
pub use sources::Sources;
pub use stop::StopSection;
pub use tls::TlsSection;

pub use crate::telemetry::LogFormat;

use form::{Address, Choice, Folder, Networks, Origins};
use reader::Reader;

/// The port of `hubbub serve` where nothing else is said.
const DEFAULT_PORT: u16 = 8080;

/// Where truth is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// In the data folder, on disk.
    Sqlite,
    /// Nowhere: it ends with the process.
    Memory,
    /// On a CQL cluster.
    Cql,
}

/// What this process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sockets and REST.
    All,
    /// Sockets only.
    Hub,
    /// REST only.
    Rest,
}

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where what must stay is kept.
    pub data: PathBuf,
    /// Which store.
    pub store: StoreKind,
    /// Which role.
    pub role: Role,
    /// The cluster of a cql store.
    pub cql: CqlSection,
    /// The bus between processes.
    pub redis: RedisSection,
    /// What the processes of a cluster share.
    pub cluster: ClusterSection,
    /// The keys of logins.
    pub keys: KeysSection,
    /// Live connections, and the origins of browsers' pages that may come in.
    pub hub: HubConfig,
    /// Who may read the metrics besides callers on this machine.
    pub metrics_from: Vec<Network>,
    /// HTTP.
    pub rest: RestSection,
    /// TLS at the door.
    pub tls: TlsSection,
    /// The way to stop.
    pub stop: StopSection,
    /// Log lines.
    pub log: LogSection,
}

impl Config {
    /// Reads the configuration, and how it came about setting by setting.
    ///
    /// # Errors
    ///
    /// All mistakes there are, of all sources.
    pub fn load(sources: Sources) -> Result<(Self, Vec<Setting>), Mistakes> {
        let mut reader = Reader::new(sources);
        let config = Self::read(&mut reader);
        config.check(&mut reader);
        Ok((config, reader.finish()?))
    }

    fn read(reader: &mut Reader) -> Self {
        Self {
            listen: reader.setting(
                "listen",
                "Where sockets and HTTP requests come in. Behind a proxy on this machine, and for trying out, the default is right.",
                SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
                &Address,
            ),
            data: reader.setting(
                "data",
                "The folder of everything that must stay: messages, accounts and the keys that sign logins. Made if missing.",
                PathBuf::from("./data"),
                &Folder,
            ),
            store: reader.setting(
                "store",
                "Where truth is kept: \"sqlite\" in the data folder; \"cql\" on a cluster of ScyllaDB or Apache Cassandra, which \
                 many processes share; \"memory\" nowhere, for trials and tests.",
                StoreKind::Sqlite,
                &Choice(&[("sqlite", StoreKind::Sqlite), ("memory", StoreKind::Memory), ("cql", StoreKind::Cql)]),
            ),
            role: reader.setting(
                "role",
                "What this process does: \"all\" is sockets and REST on one port; \"hub\" sockets alone and \"rest\" REST alone, any \
                 number of each, over a cql store.",
                Role::All,
                &Choice(&[("all", Role::All), ("hub", Role::Hub), ("rest", Role::Rest)]),
            ),
            metrics_from: reader.setting(
                "metrics_from",
                "Networks whose callers may read /metrics, besides callers on this machine: where Prometheus is.",
                Vec::new(),
                &Networks,
            ),
            hub: {
                let allowed_origins = reader.setting(
                    "allowed_origins",
                    "Web pages of other origins that may open sockets and call REST. What is no browser needs none.",
                    Vec::new(),
                    &Origins,
                );
                hub::read(reader, allowed_origins)
            },
            rest: RestSection::read(reader),
            tls: TlsSection::read(reader),
            stop: StopSection::read(reader),
            log: LogSection::read(reader),
            cql: CqlSection::read(reader),
            redis: RedisSection::read(reader),
            cluster: ClusterSection::read(reader),
            keys: KeysSection::read(reader),
        }
    }

    /// What can only be seen when two settings are looked at together.
    fn check(&self, reader: &mut Reader) {
        self.check_roles(reader);
        self.cql.check(self.store == StoreKind::Cql, reader);
        hub::check(&self.hub, reader);
        self.rest.check(reader);
        self.tls.check(reader);
        self.stop.check(reader);
    }

    /// What goes with which role and store.
    fn check_roles(&self, reader: &mut Reader) {
        let shared = self.store == StoreKind::Cql;
        if self.role != Role::All && !shared {
            reader.refuse(
                "role",
                "processes of split roles meet in a cql store: choose that (--store cql), or use \"all\"",
            );
        }
        if self.role == Role::Hub && self.keys.jwks.is_empty() {
            reader.refuse(
                "keys.jwks",
                "a hub holds no key that signs, so tell it where the public ones are, such as \
                 http://HOST:PORT/.well-known/jwks.json of a process of role rest",
            );
        }
        if self.redis.url.is_some() {
            if !shared {
                reader.refuse_beside("redis.url", "none beside", "store");
            }
            if self.cluster.secret_file.is_none() {
                reader.refuse(
                    "cluster.secret_file",
                    "whoever can write to Redis could pass for a process of this cluster: make a secret with \
                     `hubbub secret FILE` and name the file",
                );
            }
        }
    }

    /// Whether there may be other processes that log the same people in.
    pub fn shares_logins(&self) -> bool {
        self.role == Role::Rest || self.redis.url.is_some()
    }
}
