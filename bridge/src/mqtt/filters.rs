//! Topic filters as sets of topics, and the subscriptions that hear each topic once.
//!
//! A broker may deliver one message once per matching subscription (MQTT 3.1.1, section 3.3.5;
//! rumqttd always does). In the log such a copy would be a second event. So the subscriptions that
//! Gable makes never overlap: where two wanted filters do, one wider filter stands for both, and
//! what it hears beyond the wanted filters is acknowledged and forgotten.

use std::collections::BTreeSet;

/// Whether `topic` is one of the topics of `filter` (MQTT 3.1.1, section 4.7).
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    // A wildcard in the first level does not reach the broker's own topics.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

/// Whether a topic is one of some filters'.
pub(super) fn any_matches(filters: &[String], topic: &str) -> bool {
    filters.iter().any(|filter| matches(filter, topic))
}

/// Whether some topic belongs to both filters.
fn overlap(left: &str, right: &str) -> bool {
    if left.starts_with('$') && right.starts_with(['+', '#'])
        || right.starts_with('$') && left.starts_with(['+', '#'])
    {
        return false;
    }
    let (mut left, mut right) = (left.split('/'), right.split('/'));
    loop {
        match (left.next(), right.next()) {
            // `a/#` covers `a` itself as well.
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
            (Some(l), Some(r)) if l == r => {}
            _ => return false,
        }
    }
}

/// Returns the narrowest filter of our making that covers both.
fn join(left: &str, right: &str) -> String {
    let mut joined = Vec::new();
    let (mut left, mut right) = (left.split('/'), right.split('/'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => break,
            (Some(l), Some(r)) if l == r => joined.push(l),
            (Some("#"), _) | (_, Some("#")) | (None, _) | (_, None) => {
                joined.push("#");
                break;
            }
            _ => joined.push("+"),
        }
    }
    joined.join("/")
}

/// Returns subscriptions that hear every topic of `wanted`, and none of them twice.
pub(super) fn disjoint<'a>(wanted: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let mut disjoint = BTreeSet::<String>::new();
    for filter in wanted {
        let mut filter = filter.to_owned();
        // Each round takes one filter away, so this ends.
        while let Some(other) = disjoint.iter().find(|other| overlap(other, &filter)).cloned() {
            disjoint.remove(&other);
            filter = join(&filter, &other);
        }
        disjoint.insert(filter);
    }
    disjoint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_standard_says() {
        let check =
            |filter, topic, expected| assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        check("a/b", "a/b", true);
        check("a/b", "a/b/c", false);
        check("a/+", "a/b", true);
        check("a/+", "a", false);
        check("a/+", "a/", true);
        check("a/#", "a", true);
        check("a/#", "a/b/c", true);
        check("#", "a", true);
        check("+/+", "/a", true);
        check("+", "/a", false);
        check("#", "$SYS/uptime", false);
        check("+/uptime", "$SYS/uptime", false);
        check("$SYS/#", "$SYS/uptime", true);
        check("é/+", "é/ü", true);
    }

    /// Compares the subscriptions made of `wanted`, and holds them against their promise.
    #[track_caller]
    fn check(wanted: &[&str], expected: &[&str]) {
        let mut reversed: Vec<&str> = wanted.to_vec();
        reversed.reverse();
        for order in [wanted, &reversed] {
            let made = disjoint(order.iter().copied());
            assert_eq!(made.iter().map(String::as_str).collect::<Vec<_>>(), expected);
            for topic in ["a", "a/b", "a/b/c", "a/x/c", "b/b", "z2m/hall", "z2m/hall/set", "$SYS/a"] {
                let heard = made.iter().filter(|filter| matches(filter, topic)).count();
                assert!(heard <= 1, "{topic} is heard {heard} times");
                let is_wanted = wanted.iter().any(|filter| matches(filter, topic));
                assert!(!is_wanted || heard == 1, "{topic} is not heard");
            }
        }
    }

    #[test]
    fn subscriptions_never_overlap() {
        check(&[], &[]);
        check(&["a/b", "b/b"], &["a/b", "b/b"]);
        check(&["z2m/hall", "z2m/+"], &["z2m/+"]);
        check(&["z2m/hall", "z2m/#", "z2m/+/set"], &["z2m/#"]);
        check(&["a/+/c", "a/b/#"], &["a/+/#"]);
        check(&["+/b", "a/+"], &["+/+"]);
        check(&["a/#", "a"], &["a/#"]);
        check(&["#", "$SYS/a"], &["#", "$SYS/a"]);
        check(&["a/+/c", "a/b/+", "a/x/c"], &["a/+/+"]);
    }
}
