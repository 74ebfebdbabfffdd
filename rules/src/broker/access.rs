//! Who may do what: users, roles, and which topics they may read, write and subscribe to.
//!
//! Nothing is allowed that no grant allows, and a grant that denies goes before those that allow. The
//! roles [`ADMIN`], [`DEVICE`] and [`READER`] are there from the start. Clients without a name, where a
//! listener lets them in, have the role [`ANONYMOUS`], which may do everything unless it is changed.

use gable_devices::topic;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// May do everything: Home Assistant, Zigbee2MQTT.
pub const ADMIN: &str = "admin";
/// May use the topics that carry its user name or client id, as Tasmota, ESPHome and Zigbee2MQTT lay
/// them out, and announce itself to Home Assistant.
pub const DEVICE: &str = "device";
/// May read everything and write nothing.
pub const READER: &str = "reader";
/// Clients without a name.
pub const ANONYMOUS: &str = "anonymous";

/// How many users, roles and grants of one of them there may be. A further one is refused.
pub(crate) const USERS_MAX: usize = 10_000;
pub(crate) const ROLES_MAX: usize = 1_000;
pub(crate) const GRANTS_MAX: usize = 1_000;

/// Users and roles by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    users: BTreeMap<String, User>,
    /// Those that were added, and those from the start that were changed.
    roles: BTreeMap<String, Vec<Grant>>,
}

/// Somebody with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The password's hash (argon2id, in PHC's format); none lets only a client certificate in.
    pub password: Option<String>,
    pub roles: BTreeSet<String>,
    /// Only a client with this client id may use the name.
    pub client_id: Option<String>,
    /// What it may besides its roles.
    pub grants: Vec<Grant>,
}

/// What may, or may not, be done with the topics of a filter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    /// `%u` stands for the user name, `%c` for the client id.
    pub filter: String,
    pub rights: RightSet,
    pub denies: bool,
}

/// Something that can be done with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Right {
    /// Get its messages.
    Read,
    /// Publish to it.
    Write,
    /// Subscribe with a filter.
    Subscribe,
}

/// Some of the rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RightSet {
    pub read: bool,
    pub write: bool,
    pub subscribe: bool,
}

/// Why a text names no rights.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no right: expected read, write, subscribe, listen (read and subscribe) or all")]
pub struct RightError(String);

/// A client as far as its rights go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who<'a> {
    pub username: Option<&'a str>,
    pub client_id: &'a str,
}

/// A change of users and roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessChange {
    /// Adds a user, or replaces it whole.
    SetUser {
        name: String,
        user: User,
    },
    RemoveUser {
        name: String,
    },
    /// Adds a role, or replaces it whole.
    SetRole {
        name: String,
        grants: Vec<Grant>,
    },
    /// Removes a role that was added; one from the start is again as it was.
    RemoveRole {
        name: String,
    },
}

/// What decides about a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub is_allowed: bool,
    /// The grant that decides, and whose it is: the user's own if there is no role. Without one nothing
    /// allows it.
    pub by: Option<(Option<String>, Grant)>,
}

impl RightSet {
    pub const ALL: RightSet = RightSet { read: true, write: true, subscribe: true };
    pub const LISTEN: RightSet = RightSet { read: true, write: false, subscribe: true };

    /// Whether a right is among them.
    pub fn has(self, right: Right) -> bool {
        match right {
            Right::Read => self.read,
            Right::Write => self.write,
            Right::Subscribe => self.subscribe,
        }
    }
}

impl fmt::Display for RightSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.read, self.write, self.subscribe) {
            (true, true, true) => f.write_str("all"),
            (true, false, true) => f.write_str("listen"),
            (read, write, subscribe) => {
                let names = [(read, "read"), (write, "write"), (subscribe, "subscribe")];
                let names: Vec<&str> = names.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

impl FromStr for RightSet {
    type Err = RightError;

    fn from_str(text: &str) -> Result<RightSet, RightError> {
        let mut set = RightSet::default();
        for word in text.split(',') {
            match word {
                "all" => set = RightSet::ALL,
                "listen" => (set.read, set.subscribe) = (true, true),
                "read" => set.read = true,
                "write" => set.write = true,
                "subscribe" => set.subscribe = true,
                _ => return Err(RightError(word.to_owned())),
            }
        }
        Ok(set)
    }
}

impl Grant {
    fn allow(filter: &str, rights: RightSet) -> Grant {
        Grant { filter: filter.to_owned(), rights, denies: false }
    }

    /// Says why the filter can not be one.
    pub fn check(&self) -> Result<(), &'static str> {
        topic::check_filter(&self.filter)?;
        let has_part = |level: &str| level != "%u" && level != "%c" && level.contains('%');
        if self.filter.split('/').any(has_part) {
            return Err("`%u` and `%c` stand alone in their levels, and no other `%` is known");
        }
        Ok(())
    }

    /// Whether it says something about all that `wanted`, a topic or a filter, stands for.
    fn concerns(&self, who: Who<'_>, wanted: &str) -> bool {
        if !self.filter.contains('%') {
            return topic::covers(&self.filter, wanted);
        }
        let mut filter = Vec::new();
        for level in self.filter.split('/') {
            filter.push(match level {
                "%u" => match who.username.filter(|name| is_level(name)) {
                    Some(name) => name,
                    None => return false,
                },
                "%c" if is_level(who.client_id) => who.client_id,
                "%c" => return false,
                level => level,
            });
        }
        topic::covers(&filter.join("/"), wanted)
    }
}

/// Whether a name can stand for one level: one with wildcards would reach further.
fn is_level(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '+', '#', '\0'])
}

impl Access {
    /// Returns the users in the order of their names.
    pub fn users(&self) -> impl Iterator<Item = (&str, &User)> {
        self.users.iter().map(|(name, user)| (name.as_str(), user))
    }

    /// Returns a user.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// Returns the names of all roles.
    pub fn roles(&self) -> BTreeSet<&str> {
        let own = self.roles.keys().map(String::as_str);
        own.chain([ADMIN, DEVICE, READER, ANONYMOUS]).collect()
    }

    /// Returns the grants of a role, if there is one.
    pub fn role(&self, name: &str) -> Option<Vec<Grant>> {
        self.roles.get(name).cloned().or_else(|| built_in(name))
    }

    /// Whether a role was added or is otherwise than from the start.
    pub fn is_changed(&self, role: &str) -> bool {
        self.roles.contains_key(role)
    }

    /// Whether a client may do something with a topic, or with all that a filter stands for.
    pub fn allows(&self, who: Who<'_>, right: Right, wanted: &str) -> bool {
        // The common case: nothing was ever said about clients without a name.
        if who.username.is_none() && !self.roles.contains_key(ANONYMOUS) {
            return true;
        }
        self.decide(who, right, wanted).is_allowed
    }

    /// Decides, and says by what.
    pub fn decide(&self, who: Who<'_>, right: Right, wanted: &str) -> Decision {
        let mut allowed = None;
        for (role, grant) in self.grants(who) {
            if !grant.rights.has(right) || !grant.concerns(who, wanted) {
                continue;
            }
            if grant.denies {
                return Decision { is_allowed: false, by: Some((role, grant)) };
            }
            allowed = allowed.or(Some((role, grant)));
        }
        Decision { is_allowed: allowed.is_some(), by: allowed }
    }

    /// A client's grants, its own first, and the roles that they come of.
    fn grants(&self, who: Who<'_>) -> Vec<(Option<String>, Grant)> {
        let of_role = |name: &str| {
            let grants = self.role(name).unwrap_or_default();
            grants.into_iter().map(|grant| (Some(name.to_owned()), grant)).collect::<Vec<_>>()
        };
        let Some(username) = who.username else { return of_role(ANONYMOUS) };
        let Some(user) = self.users.get(username) else { return Vec::new() };
        let own = user.grants.iter().map(|grant| (None, grant.clone()));
        own.chain(user.roles.iter().flat_map(|role| of_role(role))).collect()
    }

    /// Makes a change, or says why it can not be made.
    pub(crate) fn change(&mut self, change: &AccessChange) -> Result<(), String> {
        match change {
            AccessChange::SetUser { name, user } => {
                check_name(name)?;
                check_grants(&user.grants)?;
                if let Some(role) = user.roles.iter().find(|role| self.role(role).is_none()) {
                    return Err(format!("there is no role `{role}`"));
                }
                if !self.users.contains_key(name) && self.users.len() >= USERS_MAX {
                    return Err(format!("there are {USERS_MAX} users already"));
                }
                self.users.insert(name.clone(), user.clone());
            }
            AccessChange::RemoveUser { name } => {
                self.users.remove(name).ok_or_else(|| format!("there is no user `{name}`"))?;
            }
            AccessChange::SetRole { name, grants } => {
                check_name(name)?;
                check_grants(grants)?;
                if !self.roles.contains_key(name) && self.roles.len() >= ROLES_MAX {
                    return Err(format!("there are {ROLES_MAX} roles already"));
                }
                self.roles.insert(name.clone(), grants.clone());
            }
            AccessChange::RemoveRole { name } => {
                let holder = self.users.iter().find(|(_, user)| user.roles.contains(name));
                if let Some((holder, _)) = holder.filter(|_| built_in(name).is_none()) {
                    return Err(format!("user `{holder}` has the role `{name}`"));
                }
                self.roles.remove(name).ok_or_else(|| format!("there is no role `{name}` that was added"))?;
            }
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), String> {
    match is_level(name) && name.len() <= 128 {
        true => Ok(()),
        false => Err(format!("`{name}` can be no name: 1 to 128 bytes without `/`, `+` and `#`")),
    }
}

fn check_grants(grants: &[Grant]) -> Result<(), String> {
    if grants.len() > GRANTS_MAX {
        return Err(format!("more than {GRANTS_MAX} grants"));
    }
    let broken = grants.iter().find_map(|grant| Some((grant, grant.check().err()?)));
    broken.map_or(Ok(()), |(grant, why)| Err(format!("the filter `{}` is none: {why}", grant.filter)))
}

/// The grants of a role that is there from the start.
fn built_in(name: &str) -> Option<Vec<Grant>> {
    let all = |filters: &[&str]| filters.iter().map(|filter| Grant::allow(filter, RightSet::ALL)).collect();
    match name {
        ADMIN | ANONYMOUS => Some(all(&["#", "$SYS/#"])),
        READER => Some(vec![Grant::allow("#", RightSet::LISTEN), Grant::allow("$SYS/#", RightSet::LISTEN)]),
        DEVICE => {
            let mut grants: Vec<Grant> = all(&["%u/#", "%c/#", "+/%u/#", "+/%c/#"]);
            let announces = ["homeassistant/+/%u/#", "homeassistant/+/%c/#"];
            let write = RightSet { write: true, ..RightSet::default() };
            grants.extend(announces.iter().map(|filter| Grant::allow(filter, write)));
            grants.push(Grant::allow("homeassistant/status", RightSet::LISTEN));
            Some(grants)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> Grant {
        let (rights, filter) = text.trim_start_matches('!').split_once(' ').unwrap();
        Grant { filter: filter.to_owned(), rights: rights.parse().unwrap(), denies: text.starts_with('!') }
    }

    fn user(access: &mut Access, name: &str, roles: &[&str], grants: &[&str]) -> Result<(), String> {
        let user = User {
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            grants: grants.iter().map(|text| grant(text)).collect(),
            ..User::default()
        };
        access.change(&AccessChange::SetUser { name: name.to_owned(), user })
    }

    /// Checks lines of `user client right topic`, with a `!` before what is denied.
    #[track_caller]
    fn check(access: &Access, lines: &[&str]) {
        for line in lines {
            let words: Vec<&str> = line.trim_start_matches('!').split(' ').collect();
            let who = Who { username: Some(words[0]).filter(|name| *name != "-"), client_id: words[1] };
            let right = match words[2] {
                "read" => Right::Read,
                "write" => Right::Write,
                _ => Right::Subscribe,
            };
            assert_eq!(access.allows(who, right, words[3]), !line.starts_with('!'), "{line}");
            assert_eq!(access.decide(who, right, words[3]).is_allowed, !line.starts_with('!'), "{line}");
        }
    }

    #[test]
    fn roles_from_the_start_do_what_they_say() {
        let mut access = Access::default();
        for (name, role) in [("ha", ADMIN), ("plug", DEVICE), ("panel", READER)] {
            user(&mut access, name, &[role], &[]).unwrap();
        }
        check(
            &access,
            &[
                "ha x write any/topic",
                "ha x subscribe #",
                "ha x read $SYS/broker/uptime",
                "plug plug7 write tele/plug7/STATE",
                "plug plug7 subscribe cmnd/plug7/#",
                "plug plug7 write homeassistant/switch/plug/config",
                "plug plug7 read homeassistant/status",
                "!plug plug7 write cmnd/other/POWER",
                "!plug plug7 subscribe #",
                "!plug plug7 subscribe cmnd/+/POWER",
                "!plug plug7 write homeassistant/status",
                "!plug # write any/topic",
                "panel x read any/topic",
                "panel x subscribe a/+/b",
                "!panel x write any/topic",
                "!nobody x read any/topic",
                "- x write any/topic",
            ],
        );
    }

    #[test]
    fn a_denial_goes_before_what_allows() {
        let mut access = Access::default();
        user(&mut access, "a", &[ADMIN], &["!write lock/#", "write lock/hall/log"]).unwrap();
        check(
            &access,
            &[
                "a x write light/set",
                "!a x write lock/hall/set",
                "!a x write lock/hall/log",
                "a x read lock/hall/set",
                "a x subscribe #",
            ],
        );
    }

    #[test]
    fn clients_without_a_name_have_a_role_as_well() {
        let mut access = Access::default();
        let grants = vec![grant("listen public/#")];
        access.change(&AccessChange::SetRole { name: ANONYMOUS.to_owned(), grants }).unwrap();
        check(&access, &["- x read public/a", "!- x read secret", "!- x write public/a"]);
        access.change(&AccessChange::RemoveRole { name: ANONYMOUS.to_owned() }).unwrap();
        check(&access, &["- x write public/a"]);
    }

    #[test]
    fn a_name_with_wildcards_reaches_no_further() {
        let mut access = Access::default();
        assert!(user(&mut access, "+", &[DEVICE], &[]).is_err());
        user(&mut access, "a", &[], &["all %c/#"]).unwrap();
        check(&access, &["a c write c/x", "!a + write b/x", "!a b/c write b/c/x", "!a # subscribe b"]);
    }

    #[test]
    fn broken_changes_are_refused_and_change_nothing() {
        let mut access = Access::default();
        assert!(user(&mut access, "a", &["nobody"], &[]).is_err());
        assert!(user(&mut access, "a", &[], &["all a/#/b"]).is_err());
        assert!(user(&mut access, "a", &[], &["all a%u/b"]).is_err());
        assert!(access.change(&AccessChange::RemoveUser { name: "a".to_owned() }).is_err());
        assert!(access.change(&AccessChange::RemoveRole { name: ADMIN.to_owned() }).is_err());
        access.change(&AccessChange::SetRole { name: "r".to_owned(), grants: Vec::new() }).unwrap();
        user(&mut access, "a", &["r"], &[]).unwrap();
        assert!(access.change(&AccessChange::RemoveRole { name: "r".to_owned() }).is_err());
        assert_eq!(access.users().count(), 1);
    }

    #[test]
    fn rights_survive_their_text() {
        for text in ["all", "listen", "read", "write", "subscribe", "read,write", "write,subscribe"] {
            assert_eq!(text.parse::<RightSet>().unwrap().to_string(), text);
        }
        assert!("own".parse::<RightSet>().is_err());
    }
}
