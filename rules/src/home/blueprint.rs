//! Blueprints: automations and scripts with blanks, and what fills them.
//!
//! A use becomes an ordinary automation before anybody reads it. What is wrong in the result points
//! at the use and names the blueprint's line.

mod selector;

use super::include::Resolver;
use super::references::blueprint_file;
use super::sections::{Instances, Sections};
use super::{Problem, Severity};
use gable_devices::yaml::{self, DEPTH_MAX, Fields, Key, Kind, Location, Node, did_you_mean};
use selector::Selector;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most inputs of one blueprint; further ones are refused.
const INPUTS_MAX: usize = 500;

/// The home's blueprints by file. One that is broken is `None`, and was reported.
#[derive(Clone, Debug, Default)]
pub(super) struct Blueprints {
    by_file: BTreeMap<String, Option<Arc<Blueprint>>>,
}

/// One blueprint.
#[derive(Clone, Debug)]
struct Blueprint {
    domain: String,
    inputs: BTreeMap<String, Input>,
    /// The automation or script with its blanks.
    body: Vec<(Key, Node)>,
    file: Arc<str>,
}

#[derive(Clone, Debug)]
struct Input {
    location: Location,
    default: Option<Node>,
    selector: Selector,
}

impl Blueprints {
    /// How many there are, broken ones included.
    pub(super) fn len(&self) -> usize {
        self.by_file.len()
    }

    /// Reads a blueprint's file, once.
    pub(super) fn add(&mut self, resolver: &mut Resolver<'_>, file: &str) {
        if self.by_file.contains_key(file) {
            return;
        }
        let Some(node) = resolver.parsed(file) else { return };
        let (blueprint, problems) = Blueprint::read(node);
        resolver.problems.extend(problems.into_iter().map(Problem::error));
        self.by_file.insert(file.to_owned(), blueprint.map(Arc::new));
    }

    /// Puts what blueprints make in place of their uses.
    pub(super) fn instantiate(&mut self, resolver: &mut Resolver<'_>, sections: &mut Sections) {
        let Sections { automations, scripts, instances, .. } = sections;
        for (node, path) in automations {
            self.fill(resolver, "automation", node, path, instances);
        }
        for script in scripts {
            self.fill(resolver, "script", &mut script.node, &script.path, instances);
        }
    }

    fn fill(
        &mut self,
        resolver: &mut Resolver<'_>,
        domain: &str,
        node: &mut Node,
        path: &str,
        instances: &mut Instances,
    ) {
        let Some(place) = node.get("use_blueprint").map(|usage| usage.location.clone()) else { return };
        let path = yaml::join(path, "use_blueprint");
        match self.instance(resolver, domain, node, &path) {
            Ok((file, filled)) => {
                instances.0.insert(filled.location.clone(), (place, file));
                *node = filled;
            }
            Err(problems) => {
                // The mark keeps the automation from being read as if the blueprint were not there.
                if let Kind::Map(entries) = &mut node.kind {
                    for (_, usage) in entries.iter_mut().filter(|(key, _)| key.text == "use_blueprint") {
                        usage.tag = Some("!blueprint".into());
                        usage.location = place.clone();
                    }
                }
                for problem in problems {
                    resolver.tags.add(&place, problem);
                }
            }
        }
    }

    fn instance(
        &mut self,
        resolver: &mut Resolver<'_>,
        domain: &str,
        node: &Node,
        path: &str,
    ) -> Result<(String, Node), Vec<yaml::Problem>> {
        let Some(usage) = node.get("use_blueprint") else { return Err(Vec::new()) };
        let mut fields = Fields::new(usage, path).map_err(|problem| vec![problem])?;
        let target = fields.require_text("path");
        let inputs = fields.get("input");
        let problems = fields.finish();
        let Some(target) = target.filter(|_| problems.is_empty()) else { return Err(problems) };
        let one = |message: String| vec![usage.problem(path, message)];
        let file = blueprint_file(domain, &target)
            .ok_or_else(|| one(format!("the blueprint's path `{target}` leads out of the home's folder")))?;
        self.add(resolver, &file);
        let Some(found) = self.by_file.get(&file).cloned() else {
            let mut problem = usage.problem(path, format!("there is no blueprint `{file}`"));
            problem.hint = resolver.like(&file).map(str::to_owned);
            return Err(vec![problem]);
        };
        let blueprint = found.ok_or_else(|| one(format!("the blueprint `{file}` is broken")))?;
        if blueprint.domain != domain {
            let message = format!("the blueprint `{file}` makes a {}, not a {domain}", blueprint.domain);
            return Err(one(message));
        }
        let given = match inputs {
            Some(node) => node.expect_map(&yaml::join(path, "input")).map_err(|problem| vec![problem])?,
            None => &[],
        };
        let filled = blueprint.fill(resolver, given, usage, path)?;
        let mut entries: Vec<(Key, Node)> = node
            .as_map()
            .unwrap_or_default()
            .iter()
            .filter(|(key, _)| key.text != "use_blueprint")
            .cloned()
            .collect();
        let own: BTreeSet<String> = entries.iter().map(|(key, _)| key.text.clone()).collect();
        entries.extend(filled.into_iter().filter(|(key, _)| !own.contains(&key.text)));
        Ok((file, Node { kind: Kind::Map(entries), location: node.location.clone(), tag: None }))
    }
}

impl Blueprint {
    fn read(node: &Node) -> (Option<Blueprint>, Vec<yaml::Problem>) {
        let entries = node.as_map().unwrap_or_default();
        let Some(about) = node.get("blueprint") else {
            let message = "a file under `blueprints/` begins with `blueprint:`";
            return (None, vec![node.problem("", message)]);
        };
        let mut fields = match Fields::new(about, "blueprint") {
            Ok(fields) => fields,
            Err(problem) => return (None, vec![problem]),
        };
        fields.require_text("name");
        let domain = fields
            .require("domain")
            .and_then(|_| fields.choice("domain", &[("automation", "automation"), ("script", "script")]));
        fields.accept(&["description", "source_url", "author", "homeassistant", "icon"]);
        let mut inputs = BTreeMap::new();
        if let Some(node) = fields.get("input") {
            let path = fields.path_of("input");
            for problem in read_inputs(node, &path, &mut inputs, true) {
                fields.report(problem);
            }
        }
        let mut problems = fields.finish();
        let body: Vec<(Key, Node)> =
            entries.iter().filter(|(key, _)| key.text != "blueprint").cloned().collect();
        for (key, node) in &body {
            unknown_inputs(node, &key.text, &inputs, &mut problems);
        }
        let domain = domain.unwrap_or_default().to_owned();
        let blueprint = Blueprint { domain, inputs, body, file: about.location.file.clone() };
        (problems.is_empty().then_some(blueprint), problems)
    }

    /// The body with its blanks filled.
    fn fill(
        &self,
        resolver: &mut Resolver<'_>,
        given: &[(Key, Node)],
        usage: &Node,
        path: &str,
    ) -> Result<Vec<(Key, Node)>, Vec<yaml::Problem>> {
        let mut problems = Vec::new();
        let mut values: BTreeMap<&str, &Node> = BTreeMap::new();
        for (key, node) in given {
            let path = yaml::join(&yaml::join(path, "input"), &key.text);
            let Some(input) = self.inputs.get(&key.text) else {
                let what = yaml::Problem {
                    location: Some(key.location.clone()),
                    path,
                    message: format!("the blueprint `{}` has no input `{}`", self.file, key.text),
                    hint: did_you_mean(&key.text, self.inputs.keys().map(String::as_str)).map(str::to_owned),
                };
                resolver.problems.push(Problem::with(Severity::Warning, what));
                continue;
            };
            problems.extend(node.unresolved_tags(&path));
            match input.selector.check(node, &path) {
                Ok(()) => {}
                Err((Severity::Error, what)) => problems.push(what),
                Err((severity, what)) => resolver.problems.push(Problem::with(severity, what)),
            }
            values.insert(&key.text, node);
        }
        for (name, input) in &self.inputs {
            match &input.default {
                Some(default) => {
                    values.entry(name).or_insert(default);
                }
                None if !values.contains_key(name.as_str()) => problems.push(usage.problem(
                    path,
                    format!("the input `{name}` is missing: the blueprint asks for it at {}", input.location),
                )),
                None => {}
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut body = Vec::with_capacity(self.body.len());
        for (key, node) in &self.body {
            let filled = substitute(resolver, node, &values).filter(|node| node.depth() < DEPTH_MAX);
            let Some(node) = filled else {
                return Err(vec![
                    usage.problem(path, "the blueprint with its inputs is too large or too deep"),
                ]);
            };
            body.push((key.clone(), node));
        }
        Ok(body)
    }
}

/// Reads inputs, and the inputs inside sections of inputs.
fn read_inputs(
    node: &Node,
    path: &str,
    inputs: &mut BTreeMap<String, Input>,
    may_hold_sections: bool,
) -> Vec<yaml::Problem> {
    let entries = match node.expect_map(path) {
        Ok(entries) => entries,
        Err(problem) => return vec![problem],
    };
    let mut problems = Vec::new();
    for (key, about) in entries {
        let path = yaml::join(path, &key.text);
        if inputs.len() >= INPUTS_MAX {
            problems.push(about.problem(&path, format!("a blueprint has at most {INPUTS_MAX} inputs")));
            return problems;
        }
        if let (true, Some(inside)) = (may_hold_sections, about.get("input")) {
            problems.extend(read_inputs(inside, &yaml::join(&path, "input"), inputs, false));
            continue;
        }
        let mut input =
            Input { location: key.location.clone(), default: None, selector: Selector::default() };
        if !about.is_null() {
            let mut fields = match Fields::new(about, path.clone()) {
                Ok(fields) => fields,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            fields.accept(&["name", "description", "icon", "collapsed"]);
            input.default = fields.get_or_null("default").cloned();
            if let Some(node) = fields.get("selector") {
                let selector = Selector::read(node, &fields.path_of("selector"));
                input.selector = fields.keep(selector).unwrap_or_default();
            }
            problems.extend(fields.finish());
        }
        if inputs.insert(key.text.clone(), input).is_some() {
            problems.push(about.problem(&path, format!("the input `{}` stands twice", key.text)));
        }
    }
    problems
}

/// Reports blanks that no input fills.
fn unknown_inputs(
    node: &Node,
    path: &str,
    inputs: &BTreeMap<String, Input>,
    problems: &mut Vec<yaml::Problem>,
) {
    if let Some(name) = input_name(node)
        && !inputs.contains_key(name)
    {
        let problem = node.problem(path, format!("the blueprint declares no input `{name}`"));
        problems.push(problem.meant(name, inputs.keys().map(String::as_str)));
    }
    match &node.kind {
        Kind::List(items) => {
            for (n, item) in items.iter().enumerate() {
                unknown_inputs(item, &format!("{path}[{n}]"), inputs, problems);
            }
        }
        Kind::Map(entries) => {
            for (key, node) in entries {
                unknown_inputs(node, &yaml::join(path, &key.text), inputs, problems);
            }
        }
        Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Text(_) => {}
    }
}

fn input_name(node: &Node) -> Option<&str> {
    match (&node.tag, &node.kind) {
        (Some(tag), Kind::Text(name)) if &**tag == "!input" => Some(name),
        _ => None,
    }
}

/// The tree with its blanks filled; `None` if it does not fit into the home's memory any more.
fn substitute(resolver: &mut Resolver<'_>, node: &Node, values: &BTreeMap<&str, &Node>) -> Option<Node> {
    if let Some(value) = input_name(node).and_then(|name| values.get(name)) {
        return resolver.take_weight(value.weight()).then(|| (*value).clone());
    }
    let mut substitute_all = |node: &Node| substitute(resolver, node, values);
    let kind = match &node.kind {
        Kind::List(items) => Kind::List(items.iter().map(substitute_all).collect::<Option<_>>()?),
        Kind::Map(entries) => {
            let entries = entries.iter().map(|(key, node)| Some((key.clone(), substitute_all(node)?)));
            Kind::Map(entries.collect::<Option<_>>()?)
        }
        kind => kind.clone(),
    };
    let filled = Node { kind, location: node.location.clone(), tag: node.tag.clone() };
    let own = Node { kind: Kind::Null, location: filled.location.clone(), tag: None }.weight();
    resolver.take_weight(own).then_some(filled)
}
