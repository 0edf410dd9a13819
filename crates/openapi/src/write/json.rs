//! JSON text, members in the order in which they are written.

#[derive(Debug, Default)]
pub(super) struct Json {
    out: String,
    depth: usize,
    /// Something stands before the next member or item of the open container.
    follows: bool,
}

impl Json {
    pub(super) fn finish(self) -> String {
        self.out
    }

    fn line(&mut self) {
        if self.follows {
            self.out.push(',');
        }
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", self.depth));
        self.follows = false;
    }

    fn container(&mut self, open: char, close: char, inside: impl FnOnce(&mut Json)) {
        self.out.push(open);
        self.depth += 1;
        let before = self.out.len();
        self.follows = false;
        inside(self);
        self.depth -= 1;
        if self.out.len() > before {
            self.follows = false;
            self.line();
        }
        self.out.push(close);
        self.follows = true;
    }

    pub(super) fn object(&mut self, inside: impl FnOnce(&mut Json)) {
        self.container('{', '}', inside);
    }

    pub(super) fn array<T>(&mut self, items: impl IntoIterator<Item = T>, mut each: impl FnMut(&mut Json, T)) {
        self.container('[', ']', |json| {
            for item in items {
                json.line();
                each(json, item);
                json.follows = true;
            }
        });
    }

    pub(super) fn member(&mut self, key: &str, value: impl FnOnce(&mut Json)) {
        self.line();
        self.string(key);
        self.out.push_str(": ");
        value(self);
        self.follows = true;
    }

    pub(super) fn string(&mut self, text: &str) {
        self.out.push_str(&crate::read::json_string(text));
    }

    /// A value that is JSON already.
    pub(super) fn raw(&mut self, json: &str) {
        self.out.push_str(json);
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.member(key, |json| json.string(value));
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) {
        self.member(key, |json| json.raw(if value { "true" } else { "false" }));
    }

    pub(super) fn number(&mut self, key: &str, value: f64) {
        self.member(key, |json| json.raw(&number(value)));
    }

    pub(super) fn count(&mut self, key: &str, value: u64) {
        self.member(key, |json| json.raw(&value.to_string()));
    }
}

/// A number as JSON has it: whole ones without a point.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "0".into();
    }
    if value.fract() == 0.0 && value.abs() < 9e15 { format!("{value:.0}") } else { format!("{value}") }
}
