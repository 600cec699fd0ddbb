//! What is logged, and in which form.

use super::form::{Choice, LogLevel};
use super::reader::Reader;
use crate::telemetry::LogFormat;

/// Settings below `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSection {
    /// Which lines.
    pub level: String,
    /// How.
    pub format: LogFormat,
}

impl LogSection {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            level: reader.setting(
                "log.level",
                "What is logged to stderr. No level shows payloads or tokens. HUBBUB_LOG sets it too.",
                "info".to_owned(),
                &LogLevel,
            ),
            format: reader.setting(
                "log.format",
                "The form of log lines: \"auto\" is text on a terminal and JSON elsewhere.",
                LogFormat::Auto,
                &Choice(&[("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)]),
            ),
        }
    }
}
