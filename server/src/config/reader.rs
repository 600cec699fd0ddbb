//! Asks all sources for one setting after the other, and keeps account of what was asked, found and wrong.
//!
//! A section of the configuration declares each of its settings exactly once, by asking for it; keys, defaults, bounds,
//! the example file and the check for unknown keys all follow from that.

use std::collections::BTreeSet;

use super::form::Form;
use super::mistake::{Mistake, Mistakes, Source};
use super::sources::{Given, Sources};

/// How far a misspelt key may be from the one that is suggested: two letters swapped, one doubled, one lost.
const SUGGEST_WITHIN_EDITS: usize = 3;

/// What is told of a wrong value that may be a secret, mistyped.
const NOT_SHOWN: &str = "found what is not shown here";

/// A setting as it came out, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key, such as `hub.shards`.
    pub key: &'static str,
    /// What it does.
    pub purpose: &'static str,
    /// What it takes.
    pub wants: String,
    /// Its effective value, as TOML.
    pub value: String,
    /// Its default, as TOML.
    pub default: String,
    /// Where the effective value came from.
    pub source: Source,
}

/// Reads settings; see the module.
pub(super) struct Reader {
    given: Vec<Given>,
    asked: Vec<Setting>,
    mistakes: Vec<Mistake>,
}

impl Reader {
    pub(super) fn new(sources: Sources) -> Self {
        let (given, mistakes) = sources.into_parts();
        Self { given, asked: Vec::new(), mistakes }
    }

    /// The effective value of a setting: the strongest source's, else the default. Weaker sources are checked too, since
    /// what is wrong there would come to light on another day.
    pub(super) fn setting<F: Form>(
        &mut self,
        key: &'static str,
        purpose: &'static str,
        default: F::Value,
        form: &F,
    ) -> F::Value {
        let default_shown = form.shown(&default);
        let (mut value, mut source) = (default, Source::Default);
        for given in self.given.iter().filter(|given| given.means(key)) {
            match form.read(&given.raw) {
                Some(found) => (value, source) = (found, given.source.clone()),
                None => self.mistakes.push(Mistake {
                    setting: key.into(),
                    source: given.source.clone(),
                    found: if form.is_secret() { NOT_SHOWN.into() } else { given.raw.shown() },
                    would_do: format!("expected {}", form.wants()),
                }),
            }
        }
        self.asked.push(Setting {
            key,
            purpose,
            wants: form.wants(),
            value: form.shown(&value),
            default: default_shown,
            source,
        });
        value
    }

    /// Refuses a value that is well formed and yet cannot be.
    pub(super) fn refuse(&mut self, key: &str, would_do: &str) {
        let Some(setting) = self.asked.iter().find(|setting| setting.key == key) else { return };
        self.mistakes.push(Mistake {
            setting: key.into(),
            source: setting.source.clone(),
            found: format!("found {}", setting.value),
            would_do: would_do.into(),
        });
    }

    /// Refuses a value because of another setting's, which may be the one that was meant differently.
    pub(super) fn refuse_beside(&mut self, key: &str, expected: &str, other: &str) {
        let Some(other) = self.asked.iter().find(|setting| setting.key == other) else { return };
        let would_do = format!("expected {expected} {}, which is {} ({})", other.key, other.value, other.source);
        self.refuse(key, &would_do);
    }

    /// All settings that were asked for, unless anything was wrong anywhere.
    pub(super) fn finish(mut self) -> Result<Vec<Setting>, Mistakes> {
        let unknown: Vec<Mistake> = self
            .given
            .iter()
            .filter(|given| !self.asked.iter().any(|setting| given.means(setting.key)))
            .map(|given| Mistake {
                setting: given.key.clone(),
                source: given.source.clone(),
                found: "there is no such setting".into(),
                would_do: self.instead_of(&given.key),
            })
            .collect();
        self.mistakes.extend(unknown);
        Mistakes::unless_empty(self.mistakes)?;
        Ok(self.asked)
    }

    fn instead_of(&self, key: &str) -> String {
        let section = format!("{key}.");
        if self.asked.iter().any(|setting| setting.key.starts_with(&section)) {
            return format!("{key} is a section, so write its settings below [{key}]");
        }
        let nearest =
            self.asked.iter().map(|setting| (strsim::damerau_levenshtein(key, setting.key), setting.key)).min();
        match nearest {
            Some((edits, near)) if edits <= SUGGEST_WITHIN_EDITS => format!("did you mean {near}?"),
            _ => format!("`hubbub config` shows all there are ({})", self.sections()),
        }
    }

    /// The beginnings of all keys.
    fn sections(&self) -> String {
        let beginnings: BTreeSet<String> = self
            .asked
            .iter()
            .map(|setting| {
                setting.key.split_once('.').map_or(setting.key.into(), |(section, _)| format!("{section}.*"))
            })
            .collect();
        beginnings.into_iter().collect::<Vec<_>>().join(", ")
    }
}
