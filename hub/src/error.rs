//! What can keep a hub from starting.

/// Why a hub did not start.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The operating system gave no thread or no runtime for a shard.
    #[error("a shard could not be started")]
    Shard(#[from] std::io::Error),
}
