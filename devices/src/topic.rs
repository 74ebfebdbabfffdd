//! MQTT topic filters (MQTT 3.1.1, section 4.7): which are valid, what they match, and an index
//! from a topic to what waits for it.

mod filter_set;

use std::collections::BTreeMap;

pub use filter_set::FilterSet;

/// Mosquitto's limit, 200 separators; it also bounds the depth of [`Index`].
const LEVELS_MAX: usize = 201;

/// Why a text is not a topic or a filter, in words that follow it: "`a//#b` is not ...".
pub fn check_filter(filter: &str) -> Result<(), &'static str> {
    check_pattern(filter)?;
    if filter.split('/').next() == Some("$share") {
        return Err("a shared subscription would hide messages from this home");
    }
    Ok(())
}

/// Says why a broker can not take `filter` in a subscription, if so: a shared one names its group
/// (MQTT 5, section 4.8.2).
pub fn check_subscription(filter: &str) -> Result<(), &'static str> {
    match split_share(filter) {
        Some(("", _)) => Err("the share name is empty"),
        Some((share, _)) if share.contains(['+', '#']) => Err("a share name takes no wildcard"),
        Some((_, filter)) => check_pattern(filter),
        None if filter.starts_with("$share/") => Err("a filter follows the share name"),
        None => check_pattern(filter),
    }
}

/// Takes a shared subscription apart, into its share name and the filter.
pub fn split_share(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

/// Whether a text has more levels than the checks let pass; then it is well formed all the same.
pub fn is_too_deep(text: &str) -> bool {
    text.split('/').count() > LEVELS_MAX
}

fn check_pattern(filter: &str) -> Result<(), &'static str> {
    check_length(filter)?;
    let levels: Vec<&str> = filter.split('/').collect();
    for (n, level) in levels.iter().enumerate() {
        if level.contains('#') && (*level != "#" || n + 1 != levels.len()) {
            return Err("`#` stands alone in the last level only");
        }
        if level.contains('+') && *level != "+" {
            return Err("`+` stands alone in its level");
        }
    }
    Ok(())
}

/// Says why `topic` can not be published to, if so.
pub fn check_topic(topic: &str) -> Result<(), &'static str> {
    check_length(topic)?;
    if topic.contains(['+', '#']) { Err("a topic takes no wildcard") } else { Ok(()) }
}

fn check_length(text: &str) -> Result<(), &'static str> {
    match () {
        () if text.is_empty() => Err("it is empty"),
        () if text.len() > 65_535 => Err("it is longer than 65535 bytes"),
        () if is_too_deep(text) => Err("it has more than 201 levels"),
        () if text.contains('\0') => Err("it holds a zero character"),
        () => Ok(()),
    }
}

/// Whether every topic that `narrow` matches is matched by `wide` as well.
pub fn covers(wide: &str, narrow: &str) -> bool {
    if wide.starts_with(['+', '#']) && narrow.starts_with('$') {
        return false;
    }
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(w), Some(n)) if w == n => {}
            _ => return false,
        }
    }
}

/// An index from topic filters to values, which are found sorted and once each.
#[derive(Clone, Debug)]
pub struct Index<T> {
    /// Filters without wildcards, which are most.
    exact: BTreeMap<String, Vec<T>>,
    wild: Level<T>,
}

#[derive(Clone, Debug)]
struct Level<T> {
    named: BTreeMap<String, Level<T>>,
    plus: Option<Box<Level<T>>>,
    /// Values of filters that end with `#` at this level.
    rest: Vec<T>,
    /// Values of filters that end here.
    here: Vec<T>,
}

impl<T> Default for Level<T> {
    fn default() -> Level<T> {
        Level { named: BTreeMap::new(), plus: None, rest: Vec::new(), here: Vec::new() }
    }
}

impl<T> Default for Index<T> {
    fn default() -> Index<T> {
        Index { exact: BTreeMap::new(), wild: Level::default() }
    }
}

impl<T: Copy + Ord> Index<T> {
    /// Adds a value under a valid filter.
    pub fn insert(&mut self, filter: &str, value: T) {
        if !filter.contains(['+', '#']) {
            self.exact.entry(filter.to_owned()).or_default().push(value);
            return;
        }
        let mut level = &mut self.wild;
        for name in filter.split('/') {
            level = match name {
                "#" => return level.rest.push(value),
                "+" => level.plus.get_or_insert_default(),
                name => level.named.entry(name.to_owned()).or_default(),
            };
        }
        level.here.push(value);
    }

    /// Takes a value away that was added under this filter.
    pub fn remove(&mut self, filter: &str, value: T) {
        if filter.contains(['+', '#']) {
            self.wild.remove(&filter.split('/').collect::<Vec<_>>(), value);
        } else if let Some(values) = self.exact.get_mut(filter) {
            take_one(values, value);
            if values.is_empty() {
                self.exact.remove(filter);
            }
        }
    }

    /// Whether no filter is left.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wild.is_empty()
    }

    /// Returns the values of all filters that match `topic`, sorted, each once.
    pub fn matches(&self, topic: &str) -> Vec<T> {
        let mut found = self.exact.get(topic).cloned().unwrap_or_default();
        let mut levels = vec![&self.wild];
        // Wildcards at the start do not match the broker's own topics (section 4.7.2).
        let mut is_hidden = topic.starts_with('$');
        for name in topic.split('/') {
            let mut next = Vec::new();
            for level in levels {
                if !is_hidden {
                    found.extend(&level.rest);
                    next.extend(level.plus.as_deref());
                }
                next.extend(level.named.get(name));
            }
            is_hidden = false;
            levels = next;
        }
        for level in levels {
            // `a/#` matches `a` itself.
            found.extend(&level.rest);
            found.extend(&level.here);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl<T: Copy + Ord> Level<T> {
    /// Goes down the names to a value, and clears the levels behind it that hold nothing any more.
    fn remove(&mut self, names: &[&str], value: T) {
        let Some((name, names)) = names.split_first() else { return take_one(&mut self.here, value) };
        match *name {
            "#" => take_one(&mut self.rest, value),
            "+" => {
                if let Some(level) = &mut self.plus {
                    level.remove(names, value);
                }
                self.plus.take_if(|level| level.is_empty());
            }
            name => {
                if let Some(level) = self.named.get_mut(name) {
                    level.remove(names, value);
                    if level.is_empty() {
                        self.named.remove(name);
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.plus.is_none() && self.rest.is_empty() && self.here.is_empty()
    }
}

fn take_one<T: PartialEq>(values: &mut Vec<T>, value: T) {
    if let Some(place) = values.iter().position(|it| *it == value) {
        values.remove(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: &str, topic: &str, expected: bool) {
        let mut index = Index::default();
        index.insert(filter, ());
        assert_eq!(!index.matches(topic).is_empty(), expected, "{filter} {topic}");
        assert_eq!(covers(filter, topic), expected, "{filter} covers {topic}");
    }

    #[test]
    fn filters_match_as_the_standard_says() {
        check("a/b", "a/b", true);
        check("a/b", "a/c", false);
        check("a/+", "a/b", true);
        check("a/+", "a", false);
        check("a/+", "a/", true);
        check("a/+", "a/b/c", false);
        check("a/#", "a", true);
        check("a/#", "a/b/c", true);
        check("a/#", "ab", false);
        check("#", "a/b", true);
        check("+/+", "/b", true);
        check("+", "/b", false);
        check("#", "$SYS/uptime", false);
        check("+/uptime", "$SYS/uptime", false);
        check("$SYS/#", "$SYS/uptime", true);
        check("+/b/#", "a/b", true);
    }

    #[test]
    fn filters_cover_filters() {
        for (wide, narrow, expected) in [
            ("a/#", "a/+", true),
            ("a/+", "a/#", false),
            ("+/b", "a/+", false),
            ("#", "+/#", true),
            ("+/#", "#", false),
            ("a/#", "a/#", true),
        ] {
            assert_eq!(covers(wide, narrow), expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn values_come_sorted_and_once() {
        let mut index = Index::default();
        for (filter, value) in [("a/#", 3), ("a/b", 2), ("+/b", 1), ("a/b", 3), ("#", 9), ("x", 4)] {
            index.insert(filter, value);
        }
        assert_eq!(index.matches("a/b"), [1, 2, 3, 9]);
        assert_eq!(index.matches("x"), [4, 9]);
    }

    #[test]
    fn what_is_taken_away_leaves_nothing_behind() {
        let mut index = Index::default();
        let entries = [("a/#", 3), ("a/b", 2), ("+/b", 1), ("a/b", 3), ("#", 9), ("a/+/c", 4), ("a/+/c", 5)];
        entries.iter().for_each(|(filter, value)| index.insert(filter, *value));
        index.remove("a/b", 3);
        index.remove("a/b", 7);
        index.remove("x/+", 1);
        assert_eq!(index.matches("a/b"), [1, 2, 3, 9]);
        index.remove("a/+/c", 4);
        assert_eq!(index.matches("a/x/c"), [3, 5, 9]);
        entries.iter().for_each(|(filter, value)| index.remove(filter, *value));
        assert!(index.is_empty());
    }

    #[test]
    fn invalid_filters_and_topics_are_named() {
        for filter in ["a/#/b", "a#", "a/b+", "", "a\0", "$share/g/a"] {
            assert!(check_filter(filter).is_err(), "{filter}");
        }
        for filter in ["#", "+", "a/+/#", "/", "$SYS/#"] {
            assert!(check_filter(filter).is_ok(), "{filter}");
        }
        assert!(check_topic("a/+").is_err() && check_topic("").is_err() && check_topic("a/b").is_ok());
    }

    #[test]
    fn shared_subscriptions_name_a_group_and_a_filter() {
        for filter in ["$share/g/a", "$share/g/#", "$share/g//", "$shared/a", "$share", "a/$share/#"] {
            assert_eq!(check_subscription(filter), Ok(()), "{filter}");
        }
        for filter in
            ["$share/", "$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/#", "$share/g/#/a"]
        {
            assert!(check_subscription(filter).is_err(), "{filter}");
        }
        assert_eq!(split_share("$share/g/a/b"), Some(("g", "a/b")));
        assert_eq!(split_share("a/b"), None);
    }
}
