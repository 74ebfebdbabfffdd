//! Shared subscriptions (MQTT 5, section 4.8.2): of each message one member of a group gets it.

use crate::broker::{SubscribeOptions, SubscriptionIndex};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The groups, by name and topic filter: groups of one name on two filters are two.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Groups {
    rows: BTreeMap<(String, String), Group>,
    #[serde(skip)]
    index: SubscriptionIndex<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Group {
    members: BTreeMap<String, SubscribeOptions>,
    /// Who got the last message.
    last: Option<String>,
}

impl Groups {
    /// Rebuilds what is not in a snapshot.
    pub(crate) fn restore(&mut self) {
        for (group, filter) in self.rows.keys() {
            self.index.insert(group.clone(), filter);
        }
    }

    pub(crate) fn join(&mut self, group: &str, filter: &str, client_id: &str, options: SubscribeOptions) {
        self.index.insert(group.to_owned(), filter);
        let row = self.rows.entry((group.to_owned(), filter.to_owned())).or_default();
        row.members.insert(client_id.to_owned(), options);
    }

    /// False if the client was no member.
    pub(crate) fn leave(&mut self, group: &str, filter: &str, client_id: &str) -> bool {
        let key = (group.to_owned(), filter.to_owned());
        let Some(row) = self.rows.get_mut(&key) else { return false };
        let was_member = row.members.remove(client_id).is_some();
        if row.members.is_empty() {
            self.rows.remove(&key);
            self.index.remove(key.0, filter);
        }
        was_member
    }

    /// Takes a client out of all its groups.
    pub(crate) fn leave_all(&mut self, client_id: &str) {
        let of = |row: &Group| row.members.contains_key(client_id);
        let keys: Vec<_> = self.rows.iter().filter(|(_, row)| of(row)).map(|(key, _)| key.clone()).collect();
        for (group, filter) in &keys {
            self.leave(group, filter, client_id);
        }
    }

    /// In how many groups a client is.
    pub(crate) fn count(&self, client_id: &str) -> usize {
        self.rows.values().filter(|row| row.members.contains_key(client_id)).count()
    }

    /// Chooses who gets a message, in turn, one member of each group that matches: one that can be
    /// reached now, if there is one, else one whose session keeps it.
    pub(crate) fn choose(
        &mut self,
        topic: &str,
        reach: impl Fn(&str) -> Reach,
    ) -> Vec<(String, SubscribeOptions)> {
        let matching = self.index.matches(topic);
        let keys = matching.into_iter().flat_map(|(group, filters)| {
            filters.into_iter().map(move |filter| (group.clone(), filter.to_owned()))
        });
        let keys: Vec<_> = keys.collect();
        let mut chosen = Vec::new();
        for key in keys {
            let Some(row) = self.rows.get_mut(&key) else { continue };
            if let Some((client_id, options)) = row.choose(&reach) {
                row.last = Some(client_id.clone());
                chosen.push((client_id, options));
            }
        }
        chosen
    }
}

/// Whether a member can get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    Now,
    Later,
    Never,
}

impl Group {
    fn choose(&self, reach: impl Fn(&str) -> Reach) -> Option<(String, SubscribeOptions)> {
        let last = self.last.as_deref().unwrap_or_default();
        let after = self.members.iter().filter(|(client_id, _)| client_id.as_str() > last);
        let before = self.members.iter().filter(|(client_id, _)| client_id.as_str() <= last);
        let turn = after.chain(before).map(|member| (reach(member.0), member));
        let (reach, (client_id, options)) = turn.min_by_key(|(reach, _)| *reach)?;
        (reach != Reach::Never).then(|| (client_id.clone(), *options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_take_turns() {
        let mut groups = Groups::default();
        for client_id in ["a", "b", "c"] {
            groups.join("g", "t/+", client_id, SubscribeOptions::default());
        }
        let mut turn = |reach: fn(&str) -> Reach| {
            let chosen = groups.choose("t/1", reach);
            chosen.into_iter().map(|(client_id, _)| client_id).collect::<String>()
        };
        assert_eq!([(); 4].map(|()| turn(|_| Reach::Now)).concat(), "abca");
        let only_a_later = |client_id: &str| if client_id == "a" { Reach::Later } else { Reach::Never };
        assert_eq!(turn(only_a_later), "a");
        assert_eq!(turn(|_| Reach::Never), "");
        let b_away = |client_id: &str| if client_id == "b" { Reach::Later } else { Reach::Now };
        assert_eq!([(); 3].map(|()| turn(b_away)).concat(), "cac");
    }

    #[test]
    fn groups_of_one_name_on_two_filters_are_two() {
        let mut groups = Groups::default();
        groups.join("g", "t/#", "a", SubscribeOptions::default());
        groups.join("g", "t/1", "b", SubscribeOptions::default());
        assert_eq!(groups.choose("t/1", |_| Reach::Now).len(), 2);
        groups.leave_all("a");
        assert_eq!(groups.choose("t/1", |_| Reach::Now).len(), 1);
        assert!(groups.leave("g", "t/1", "b") && !groups.leave("g", "t/1", "b"));
        assert!(groups.choose("t/1", |_| Reach::Now).is_empty());
    }
}
