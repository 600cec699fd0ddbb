//! What a start opens before anybody is let in: the store, the keys, the bus. A cluster that is not there yet is waited for.

use std::time::Duration;

use hubbub_domain::tokens::KeyRing;
use hubbub_hub::Tls;
use hubbub_storage::bus::redis::RedisConfig;
use hubbub_storage::bus::{self, OpenBus};
use hubbub_storage::scylla::{self, CqlConfig};
use hubbub_storage::sqlite::SqliteConfig;
use hubbub_storage::store::Store;
use hubbub_storage::{memory, sqlite};
use tokio::time::{Instant, sleep};

use crate::config::{Config, CqlSection, Role, StoreKind};
use crate::keys;
use crate::secret_file;
use crate::start_error::StartError;
use crate::tls::{self, Certificate};

/// Between two tries to reach the cluster; each takes a while itself.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// The store that the configuration names.
pub(crate) async fn store(config: &Config) -> Result<Store, StartError> {
    match config.store {
        StoreKind::Memory => Ok(memory::open()),
        StoreKind::Sqlite => {
            let data = config.data.clone();
            waiting(move || embedded(&SqliteConfig::at(&data))).await
        }
        StoreKind::Cql => {
            let section = config.cql.clone();
            let cql = waiting(move || cql_config(section)).await?;
            patiently(&cql, config.cql.wait).await
        }
    }
}

fn embedded(config: &SqliteConfig) -> Result<Store, StartError> {
    let opened = sqlite::open(config)?;
    if let Some(recovered) = opened.recovered {
        tracing::info!(
            records = recovered.log_records_checked,
            all_else = recovered.meta_checked,
            elapsed_ms = recovered.elapsed_ms,
            "the last process did not close the store; what was checked of it is sound"
        );
    }
    Ok(opened.store)
}

fn cql_config(section: CqlSection) -> Result<CqlConfig, StartError> {
    let CqlSection { nodes, keyspace, replication, datacenter, user, password, password_file, wait: _ } = section;
    let password = match password_file {
        Some(file) => Some(secret_file::read_password(&file)?),
        None => password,
    };
    let password = password.map(|password| password.reveal().to_owned());
    Ok(CqlConfig { replication, datacenter, user, password, ..CqlConfig::at(nodes, keyspace) })
}

/// Opens the cluster's store, and goes on trying for so long while it cannot be reached: it may be starting, too.
async fn patiently(config: &CqlConfig, patience: Duration) -> Result<Store, StartError> {
    let begun = Instant::now();
    loop {
        match scylla::open(config).await {
            Ok(store) => return Ok(store),
            Err(error) if may_pass(&error) && begun.elapsed() < patience => {
                let elapsed_s = begun.elapsed().as_secs();
                tracing::warn!(%error, elapsed_s, "the store cannot be opened yet; trying again");
                sleep(TRY_EVERY).await;
            }
            Err(error) => return Err(StartError::Cql { error, seconds: begun.elapsed().as_secs() }),
        }
    }
}

/// Whether time may mend it.
fn may_pass(error: &scylla::OpenError) -> bool {
    matches!(error, scylla::OpenError::Unreachable { .. } | scylla::OpenError::Locked { .. })
}

/// Reads every file of a secret that the configuration names, so that what is wrong with one is told before a cluster is
/// waited for. What may still have to be made is left out.
pub(crate) async fn check_secrets(config: &Config) -> Result<(), StartError> {
    let (keys, cluster, cql) = (config.keys.clone(), config.cluster.clone(), config.cql.clone());
    let unmade = (config.shares_logins() && config.role != Role::Hub && keys.file.is_none())
        .then(|| keys::default_file(&config.data));
    let signs = config.role != Role::Hub;
    waiting(move || {
        let seeds = [keys.file, keys.previous_file, unmade].into_iter().filter(|_| signs);
        for file in seeds.chain([cluster.secret_file]).flatten() {
            secret_file::read(&file)?;
        }
        cql.password_file.map_or(Ok(()), |file| Ok(secret_file::read_password(&file).map(drop)?))
    })
    .await
}

/// TLS at the door, if it is wanted.
pub(crate) async fn tls(config: &Config) -> Result<Option<(Tls, Certificate)>, StartError> {
    let section = config.tls.clone();
    waiting(move || Ok(tls::open(&section)?)).await
}

/// The keys that sign, for roles that log people in.
pub(crate) async fn keys(config: &Config) -> Result<KeyRing, StartError> {
    let config = config.clone();
    waiting(move || Ok(keys::open(&config)?)).await
}

/// The bus to the other processes, if there may be any.
pub(crate) async fn bus(config: &Config) -> Result<OpenBus, StartError> {
    let (Some(url), Some(file)) = (config.redis.url.clone(), config.cluster.secret_file.clone()) else {
        if config.store != StoreKind::Cql {
            return Ok(bus::local::alone());
        }
        tracing::warn!(
            "without redis.url nobody is told of what happens here: other processes find it by looking, seconds later"
        );
        return Ok(bus::local::deaf());
    };
    let secret = waiting(move || Ok(secret_file::read(&file)?)).await?;
    let prefix = config.redis.prefix.clone();
    let open = bus::redis::open(RedisConfig { prefix, ..RedisConfig::new(url.reveal(), secret) }).await?;
    if !open.bus.is_up() {
        tracing::warn!("Redis cannot be reached yet; serving without it until it can");
    }
    tracing::info!(node.id = %open.bus.node(), "joined the bus");
    Ok(open)
}

/// Runs what may wait for the disk on a thread that may wait.
async fn waiting<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(StartError::Broken))
}
