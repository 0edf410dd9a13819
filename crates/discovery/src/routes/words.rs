//! Words of routes in general: English and HTTP vocabulary, no API's own.

use serde::{Deserialize, Serialize};

/// Segments that stand for one special thing among values, or for an action on a collection.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "-", "_all", "_search", "active", "all", "archive", "archived", "auth", "authorize", "available", "batch", "bulk",
    "by", "callback", "capabilities", "config", "count", "counts", "current", "default", "defaults", "deleted",
    "docs", "draft", "events", "export", "exports", "favorites", "feed", "health", "healthz", "heartbeat", "history",
    "identity", "import", "imports", "info", "jwks", "latest", "limits", "livez", "log", "login", "logout", "logs",
    "me", "members", "meta", "metadata", "metrics", "mine", "my", "new", "next", "options", "overview", "own",
    "permissions", "ping", "popular", "preview", "previous", "prices", "profile", "public", "queries", "query",
    "quota", "quotas", "random", "readyz", "recent", "report", "reports", "roles", "root", "schema", "schemas",
    "scopes", "search", "self", "session", "sessions", "settings", "shared", "statistics", "stats", "status",
    "suggest", "suggestions", "summary", "system", "tags", "templates", "test", "today", "token", "tokens", "top",
    "totals", "trash", "trending", "types", "upload", "uploads", "usage", "user", "users", "validate", "values",
    "version", "versions", "webhook", "webhooks", "whoami",
];

/// Verbs that name an action, alone or as the first word of a phrase.
#[rustfmt::skip]
const VERBS: &[&str] = &[
    "abort", "accept", "acknowledge", "activate", "add", "adjust", "append", "apply", "approve", "archive", "assign",
    "attach", "authenticate", "authorize", "backup", "ban", "batch", "block", "book", "build", "bulk", "calculate",
    "call", "cancel", "capture", "change", "charge", "check", "checkout", "claim", "clear", "clone", "close",
    "commit", "compare", "complete", "compute", "confirm", "connect", "convert", "copy", "create", "deactivate",
    "decline", "decrypt", "delete", "deny", "deploy", "detach", "disable", "disconnect", "discover", "dismiss",
    "download", "duplicate", "edit", "enable", "encrypt", "end", "execute", "expire", "export", "extend", "fetch",
    "filter", "find", "finish", "follow", "forward", "generate", "get", "give", "grant", "import", "increment",
    "initiate", "insert", "install", "introspect", "invite", "invoke", "issue", "join", "kick", "kill", "leave",
    "like", "link", "list", "load", "lock", "login", "logout", "lookup", "mark", "merge", "migrate", "modify", "move",
    "mute", "notify", "open", "patch", "pause", "pay", "poll", "post", "prune", "publish", "pull", "purge", "push",
    "put", "query", "read", "rebuild", "recalculate", "receive", "recover", "redeem", "refresh", "refund", "register",
    "reject", "release", "remove", "rename", "renew", "reopen", "replace", "reply", "report", "request", "resend",
    "reset", "resize", "resolve", "restart", "restore", "resubmit", "resume", "retrieve", "retry", "revert", "review",
    "revoke", "rollback", "rotate", "run", "save", "schedule", "search", "send", "set", "share", "sign", "simulate",
    "skip", "snooze", "sort", "start", "stop", "submit", "subscribe", "suspend", "swap", "sync", "synchronize", "tag",
    "terminate", "test", "toggle", "transfer", "trigger", "unarchive", "unassign", "unban", "unblock", "undelete",
    "unfollow", "uninstall", "unlink", "unlock", "unmute", "unpause", "unpublish", "unregister", "unsubscribe",
    "update", "upgrade", "upload", "upsert", "use", "validate", "verify", "view", "void", "vote", "wait", "wake",
    "withdraw", "write",
];

/// Words that stand before a version or take its place: below them starts what an API is about.
const BASES: &[&str] = &["api", "apis", "rest", "service", "services", "public", "v", "ext", "gateway", "internal"];

/// What a word is like, as far as it matters here: kept where the word itself is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traits(u32);

/// How the parts of a word are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Style {
    Plain,
    Kebab,
    Snake,
    Camel,
    Title,
    Other,
}

impl Traits {
    const RESERVED: u32 = 1;
    const ACTION: u32 = 2;
    const DIGIT: u32 = 4;
    const ODD: u32 = 8;
    const VERSION: u32 = 16;
    const PLURAL: u32 = 32;
    const RANDOM: u32 = 64;
    const CODE: u32 = 128;

    pub(crate) fn of(text: &str) -> Traits {
        let has = |is: bool, flag: u32| if is { flag } else { 0 };
        let ending = file_ending(text).map_or(0, |ending| {
            // One of 255 classes of endings is enough to see that they differ.
            ending.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte))) % 255 + 1
        });
        Traits(
            has(is_reserved(text), Self::RESERVED)
                | has(is_action(text), Self::ACTION)
                | has(text.bytes().any(|byte| byte.is_ascii_digit()), Self::DIGIT)
                | has(text.bytes().any(|byte| b"%@+=,~!*".contains(&byte)), Self::ODD)
                | has(super::shape::is_version(text.as_bytes()), Self::VERSION)
                | has(is_plural(text), Self::PLURAL)
                | has(is_random(text), Self::RANDOM)
                | has(is_code(text), Self::CODE)
                | (style_of(text) as u32) << 8
                | ending << 16,
        )
    }

    /// Stands for one special thing (`me`, `search`).
    pub(crate) fn is_reserved(self) -> bool {
        self.0 & Self::RESERVED != 0
    }

    /// Names an action.
    pub(crate) fn is_action(self) -> bool {
        self.0 & Self::ACTION != 0
    }

    pub(crate) fn has_digit(self) -> bool {
        self.0 & Self::DIGIT != 0
    }

    /// Has characters that words of routes rarely have.
    pub(crate) fn is_odd(self) -> bool {
        self.0 & Self::ODD != 0
    }

    pub(crate) fn is_version(self) -> bool {
        self.0 & Self::VERSION != 0
    }

    pub(crate) fn is_plural(self) -> bool {
        self.0 & Self::PLURAL != 0
    }

    /// Nobody could say it.
    pub(crate) fn is_random(self) -> bool {
        self.0 & Self::RANDOM != 0
    }

    /// Looks like the code of a language, a country or a currency.
    pub(crate) fn is_code(self) -> bool {
        self.0 & Self::CODE != 0
    }

    pub(crate) fn style(self) -> Style {
        match self.0 >> 8 & 0xff {
            0 => Style::Plain,
            1 => Style::Kebab,
            2 => Style::Snake,
            3 => Style::Camel,
            4 => Style::Title,
            _ => Style::Other,
        }
    }

    /// Class of the file name's ending, if it looks like a file name.
    pub(crate) fn file_ending(self) -> Option<u32> {
        let ending = self.0 >> 16;
        (ending != 0).then_some(ending)
    }
}

/// Letters and digits as chance puts them: capitals inside words, long runs of consonants, no vowel.
fn is_random(text: &str) -> bool {
    let (mut consonants, mut longest, mut vowels, mut changes, mut letters) = (0, 0, 0, 0, 0);
    let mut last = b'-';
    for byte in text.bytes() {
        let is_letter = byte.is_ascii_alphabetic();
        if is_letter && !b"aeiouyAEIOUY".contains(&byte) {
            consonants += 1;
            longest = longest.max(consonants);
        } else {
            consonants = 0;
            vowels += usize::from(is_letter);
        }
        letters += usize::from(is_letter);
        let is_change = last.is_ascii_digit() && is_letter
            || last.is_ascii_lowercase() && (byte.is_ascii_uppercase() || byte.is_ascii_digit());
        changes += usize::from(is_change);
        last = byte;
    }
    let parts = parts(text).filter(|part| part.len() <= 2).count();
    longest >= 6 || (vowels == 0 && letters >= 4 && text.len() >= 5) || (changes >= 2 && parts >= 2)
}

/// `de`, `pt-BR`, `FR`, `EUR`: codes of ISO 639, 3166 and 4217 by their form, and tags of the first two.
fn is_code(text: &str) -> bool {
    let letters = |text: &str, small: bool| {
        text.bytes().all(|byte| if small { byte.is_ascii_lowercase() } else { byte.is_ascii_uppercase() })
    };
    match text.split_once(['-', '_']) {
        Some((language, country)) => {
            language.len() == 2 && letters(language, true) && country.len() == 2 && letters(country, false)
        }
        None => text.len() == 2 && letters(text, true) || matches!(text.len(), 2 | 3) && letters(text, false),
    }
}

fn style_of(text: &str) -> Style {
    let has = |byte: u8| text.as_bytes().contains(&byte);
    let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
    let first = text.as_bytes().first().is_some_and(u8::is_ascii_uppercase);
    match (has(b'-'), has(b'_'), upper) {
        (false, false, false) => Style::Plain,
        (true, false, false) => Style::Kebab,
        (false, true, false) => Style::Snake,
        (false, false, true) if first => Style::Title,
        (false, false, true) => Style::Camel,
        _ => Style::Other,
    }
}

/// `report.csv`: two to five letters or digits behind the last dot, and a name before it.
fn file_ending(text: &str) -> Option<&str> {
    let (stem, ending) = text.rsplit_once('.')?;
    let is_ending = (2..=5).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (!stem.is_empty() && is_ending).then_some(ending)
}

/// Does the text stand for one special thing (`me`, `search`)?
pub(crate) fn is_reserved(text: &str) -> bool {
    let text = text.trim_start_matches(['@', '_', '$', '~', '-']);
    text.is_empty() || RESERVED.binary_search(&text.to_ascii_lowercase().as_str()).is_ok()
}

/// Does it name an action: `cancel`, `add_rule`, `generateToken`?
pub(crate) fn is_action(text: &str) -> bool {
    let first = parts(text).next().unwrap_or_default().to_ascii_lowercase();
    VERBS.binary_search(&first.as_str()).is_ok()
}

/// May it stand before the resources of an API?
pub(crate) fn is_base(text: &str) -> bool {
    super::shape::is_version(text.as_bytes()) || BASES.contains(&text.to_ascii_lowercase().as_str())
}

/// Is the last word of it a plural?
pub(crate) fn is_plural(text: &str) -> bool {
    let text = text.split('.').next().unwrap_or_default();
    let last = parts(text).last().unwrap_or_default().to_ascii_lowercase();
    matches!(last.as_str(), "people" | "children" | "media" | "data" | "men" | "women")
        || last.len() > 3
            && last.ends_with('s')
            && !last.ends_with("ss")
            && !last.ends_with("us")
            && !last.ends_with("is")
}

/// The singular of an English noun, near enough to name a parameter.
pub(crate) fn singular(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    let cut = |n: usize| lower.get(..lower.len().saturating_sub(n)).unwrap_or_default().to_owned();
    match lower.as_str() {
        "people" => "person".into(),
        "children" => "child".into(),
        "men" => "man".into(),
        "women" => "woman".into(),
        "indices" => "index".into(),
        "vertices" => "vertex".into(),
        "matrices" => "matrix".into(),
        "analyses" => "analysis".into(),
        "series" | "news" | "media" | "data" | "species" => lower,
        _ if lower.ends_with("ies") && lower.len() > 4 => cut(3) + "y",
        _ if ["sses", "shes", "ches", "xes", "zes"].iter().any(|end| lower.ends_with(end)) => cut(2),
        _ if lower.ends_with("uses") && !lower.ends_with("auses") => cut(2),
        _ if lower.ends_with("ss") || lower.ends_with("us") || lower.ends_with("is") || lower.len() < 3 => lower,
        _ if lower.ends_with('s') => cut(1),
        _ => lower,
    }
}

/// The words of `snake_case`, `kebab-case`, `camelCase` and dotted text.
pub(crate) fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(['-', '_', '.', ' ', '@', '$', ':']).flat_map(camel_parts).filter(|part| !part.is_empty())
}

fn camel_parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let bytes = rest.as_bytes();
        let mut end = bytes.len();
        for (place, pair) in bytes.windows(2).enumerate() {
            if let [before, after] = pair
                && !before.is_ascii_uppercase()
                && after.is_ascii_uppercase()
            {
                end = place + 1;
                break;
            }
        }
        let (part, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        rest = tail;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(RESERVED.is_sorted());
        assert!(VERBS.is_sorted());
    }

    #[test]
    fn words() {
        assert!(is_reserved("@me") && is_reserved("Search") && !is_reserved("apollo"));
        assert!(is_action("add_rule") && is_action("generateToken") && !is_action("getaway"));
        assert!(is_plural("users") && is_plural("policies") && is_plural("Accounts.json") && !is_plural("status"));
        for (plural, expected) in [
            ("users", "user"),
            ("policies", "policy"),
            ("addresses", "address"),
            ("boxes", "box"),
            ("statuses", "status"),
            ("houses", "hous"),
        ] {
            // "houses" → "hous" is a price of knowing no dictionary.
            if plural != "houses" {
                assert_eq!(singular(plural), expected);
            }
        }
        assert_eq!(parts("fooBarBaz-qux_x.y").collect::<Vec<_>>(), ["foo", "Bar", "Baz", "qux", "x", "y"]);
    }
}
