//! What topics and counters are called in Redis: below the cluster's prefix, ids in their usual text.

use hubbub_protocol::NodeId;

use crate::bus::Topic;

/// Channels and keys of one cluster.
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: format!("{prefix}:") }
    }

    pub(super) fn channel(&self, topic: Topic) -> String {
        let prefix = &self.prefix;
        match topic {
            Topic::Cluster => format!("{prefix}all"),
            Topic::Node(node) => format!("{prefix}n:{node}"),
            Topic::Conversation(conversation_id) => format!("{prefix}c:{conversation_id}"),
        }
    }

    /// None: no node of this cluster speaks there.
    pub(super) fn topic(&self, channel: &[u8]) -> Option<Topic> {
        let name = std::str::from_utf8(channel).ok()?.strip_prefix(&self.prefix)?;
        if name == "all" {
            return Some(Topic::Cluster);
        }
        match name.split_once(':')? {
            ("n", node) => node.parse::<NodeId>().ok().map(Topic::Node),
            ("c", conversation_id) => conversation_id.parse().ok().map(Topic::Conversation),
            _ => None,
        }
    }

    /// The key of the counter with this name.
    pub(super) fn counter(&self, name: u128) -> String {
        format!("{}k:{name:032x}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::ConversationId;

    use super::*;

    #[test]
    fn every_topic_is_read_back_from_its_channel() {
        let names = Names::new("hubbub");
        let topics = [
            Topic::Cluster,
            Topic::Node(NodeId::from_bytes([1; 16])),
            Topic::Conversation(ConversationId::from_bytes([1; 16])),
        ];
        for topic in topics {
            assert_eq!(names.topic(names.channel(topic).as_bytes()), Some(topic));
        }
    }

    #[test]
    fn other_channels_are_no_topics() {
        let names = Names::new("hubbub");
        for other in ["", "hubbub", "hubbub:", "other:all", "hubbub:n:", "hubbub:x:all", "hubbub:c:all", "hubbub:all:"]
        {
            assert_eq!(names.topic(other.as_bytes()), None, "{other}");
        }
    }
}
