//! The configuration as a TOML file with comments, that reads back to the same.

use std::fmt::Write as _;

use super::{Config, Setting, Source, Sources};

/// How wide a comment may get.
const COMMENT_COLUMNS: usize = 118;

/// The head of the example file.
const EXAMPLE_HEAD: &str = "\
# Every setting of Hubbub with its default. Copy what you change into a file and name it: hubbub serve --config FILE
#
# Stronger than the file is the environment (HUBBUB_LISTEN for listen, HUBBUB_HUB_SHARDS for hub.shards, and so on),
# and stronger still are flags (--listen, or --set hub.shards=4 for any setting).
# `hubbub serve --check` tells every mistake at once; `hubbub config` prints what is in force and where it came from.
";

/// The head of what `hubbub config` prints.
const EFFECTIVE_HEAD: &str = "\
# The configuration in force, and after each value where it came from. Secrets are not shown: keys are in files of
# their own, and where a password is set it says (hidden).
";

/// The settings in force, each with where it came from.
pub fn as_toml(settings: &[Setting]) -> String {
    written(EFFECTIVE_HEAD, settings, |setting| match &setting.source {
        Source::Default => "  # default".to_owned(),
        source => format!("  # {source}; the default is {}", setting.default),
    })
}

/// The example file: every setting at its default.
pub fn as_example() -> String {
    // Without sources there is nobody to make a mistake.
    let settings = Config::load(Sources::default()).map(|(_, settings)| settings).unwrap_or_default();
    written(EXAMPLE_HEAD, &settings, |_| String::new())
}

fn written(head: &str, settings: &[Setting], remark: impl Fn(&Setting) -> String) -> String {
    let mut text = head.to_owned();
    let mut section = "";
    for setting in settings {
        let (own_section, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if own_section != section {
            section = own_section;
            append(&mut text, format_args!("\n[{section}]\n"));
        }
        append(&mut text, format_args!("\n{}{name} = {}{}\n", comment(setting), setting.value, remark(setting)));
    }
    text
}

/// What a setting does and what it takes, in lines.
fn comment(setting: &Setting) -> String {
    let mut lines = String::new();
    for sentence in [setting.purpose.to_owned(), format!("Takes {}.", setting.wants)] {
        let mut line = String::from("#");
        for word in sentence.split_whitespace() {
            if line.len() + 1 + word.len() > COMMENT_COLUMNS {
                append(&mut lines, format_args!("{line}\n"));
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        append(&mut lines, format_args!("{line}\n"));
    }
    lines
}

fn append(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let written = text.write_fmt(what);
    debug_assert!(written.is_ok());
}
