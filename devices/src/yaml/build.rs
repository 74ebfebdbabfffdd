//! From parser events to the tree: anchors, aliases, merge keys, duplicate keys, and the limits
//! that keep a hostile file from taking the process with it.

use super::{Key, Kind, Location, Node, Problem, scalar};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Longest text taken, in bytes. The largest homes known have configurations below one megabyte.
const TEXT_MAX: usize = 4 << 20;
/// Deepest nesting. Consumers recurse, so this also bounds their stack.
pub const DEPTH_MAX: usize = 64;
/// Most memory, in about bytes, that a document may take after its aliases are expanded.
const WEIGHT_MAX: usize = 32 << 20;
/// What a node weighs besides its text.
pub(super) const NODE_WEIGHT: usize = 96;

/// Reads one YAML document. `file` names it in problems.
pub fn parse(file: &str, text: &str) -> Result<Node, Problem> {
    let file: Arc<str> = file.into();
    if text.len() > TEXT_MAX {
        let location = Location { file, line: 1, column: 1 };
        let message = format!("the file is larger than {} MB", TEXT_MAX >> 20);
        return Err(Problem { location: Some(location), path: String::new(), message, hint: None });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder { file, stack: Vec::new(), anchors: BTreeMap::new(), weight: 0, root: None };
    let mut documents = 0;
    for step in Parser::new_from_str(text) {
        let (event, span) = step.map_err(|error| builder.scan_problem(&error))?;
        if matches!(event, Event::DocumentStart(_)) {
            documents += 1;
            if documents > 1 {
                return Err(builder.problem(span.start, "a second document begins; one file holds one"));
            }
        }
        builder.take(event, span.start)?;
    }
    let start = Marker::new(0, 1, 0);
    let location = builder.location(start);
    Ok(builder.root.unwrap_or(Node { kind: Kind::Null, location, tag: None }))
}

struct Builder {
    file: Arc<str>,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Anchored>,
    weight: usize,
    root: Option<Node>,
}

/// A node under an anchor, with what a copy of it costs.
struct Anchored {
    node: Node,
    weight: usize,
    depth: usize,
}

/// A list or mapping that is not closed yet.
struct Frame {
    location: Location,
    tag: Option<Arc<str>>,
    anchor: usize,
    weight_before: usize,
    open: Open,
}

enum Open {
    List(Vec<Node>),
    Map {
        entries: Vec<(Key, Node)>,
        /// What `<<` brings; the mapping's own entries stand above it.
        merged: Vec<(Key, Node)>,
        seen: BTreeMap<String, First>,
        key: Option<PendingKey>,
    },
}

struct PendingKey {
    key: Key,
    is_merge: bool,
    /// Where the key stands for the first time, if this is not the first time.
    first: Option<First>,
}

/// Where a key stands first: its line, and its place among the entries.
#[derive(Clone, Copy)]
struct First {
    line: u32,
    place: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Marker) -> Result<(), Problem> {
        match event {
            Event::Scalar(text, style, 0, None) if self.awaits_key() => {
                self.take_key(&text, style == ScalarStyle::Plain, at)
            }
            Event::Scalar(_, _, _, _) if self.awaits_key() => {
                Err(self.problem(at, "a key takes neither an anchor nor a tag"))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, tag.as_deref(), at)?;
                let weight = self.weigh(node_weight(&node), at)?;
                self.place(node, anchor, weight, at)
            }
            Event::SequenceStart(anchor, tag) => self.open(Open::List(Vec::new()), anchor, tag, at),
            Event::MappingStart(anchor, tag) => {
                let open =
                    Open::Map { entries: Vec::new(), merged: Vec::new(), seen: BTreeMap::new(), key: None };
                self.open(open, anchor, tag, at)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(at),
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor) else {
                    return Err(self.problem(at, "the alias stands inside its own anchor"));
                };
                if self.stack.len() + anchored.depth > DEPTH_MAX {
                    return Err(self.too_deep(at));
                }
                let weight = anchored.weight;
                // Weighed before it is copied: this is what stops an alias bomb.
                self.weigh(weight, at)?;
                let node = self.anchors[&anchor].node.clone();
                self.place(node, 0, weight, at)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(
        &mut self,
        open: Open,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        at: Marker,
    ) -> Result<(), Problem> {
        if self.awaits_key() {
            return Err(self.problem(at, "a key has to be a text"));
        }
        if self.stack.len() >= DEPTH_MAX {
            return Err(self.too_deep(at));
        }
        let weight_before = self.weight;
        self.weigh(NODE_WEIGHT, at)?;
        let tag = tag.filter(|tag| !tag.is_yaml_core_schema()).map(|tag| tag.to_string().into());
        self.stack.push(Frame { location: self.location(at), tag, anchor, weight_before, open });
        Ok(())
    }

    fn close(&mut self, at: Marker) -> Result<(), Problem> {
        let Some(frame) = self.stack.pop() else {
            return Err(self.problem(at, "a list or mapping ends that never began"));
        };
        let kind = match frame.open {
            Open::List(items) => Kind::List(items),
            Open::Map { entries, merged, seen, .. } => Kind::Map(with_merged(entries, merged, &seen)),
        };
        let weight = self.weight.saturating_sub(frame.weight_before);
        let node = Node { kind, location: frame.location, tag: frame.tag };
        self.place(node, frame.anchor, weight, at)
    }

    /// Puts a finished node where it belongs: as root, item or value.
    fn place(&mut self, node: Node, anchor: usize, weight: usize, at: Marker) -> Result<(), Problem> {
        if anchor != 0 {
            self.weigh(weight, at)?;
            let depth = node.depth();
            self.anchors.insert(anchor, Anchored { node: node.clone(), weight, depth });
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        let placed = match &mut frame.open {
            Open::List(items) => {
                items.push(node);
                Ok(())
            }
            Open::Map { entries, merged, key, .. } => match key.take() {
                None => Err("a key has to be a text"),
                Some(PendingKey { is_merge: true, .. }) => merge(merged, node),
                Some(PendingKey { key, first: None, .. }) => {
                    entries.push((key, node));
                    Ok(())
                }
                // What the key says is in doubt, so what stands in this mapping is out of use; the
                // rest of the file is not.
                Some(PendingKey { key, first: Some(first), .. }) => {
                    let mut node = node;
                    node.mark_repeated(&key, first.line);
                    if let Some(entry) = entries.get_mut(first.place) {
                        *entry = (key, node);
                    }
                    Ok(())
                }
            },
        };
        placed.map_err(|message| self.problem(at, message))
    }

    /// Takes a scalar that stands where a mapping's key is due.
    fn take_key(&mut self, text: &str, is_plain: bool, at: Marker) -> Result<(), Problem> {
        self.weigh(NODE_WEIGHT + text.len(), at)?;
        let location = self.location(at);
        let Some(Frame { open: Open::Map { entries, seen, key, .. }, .. }) = self.stack.last_mut() else {
            return Err(self.problem(at, "a key stands outside of a mapping"));
        };
        let first = seen.get(text).copied();
        if first.is_none() {
            seen.insert(text.to_owned(), First { line: location.line, place: entries.len() });
        }
        let key_found = Key { text: text.to_owned(), location };
        *key = Some(PendingKey { key: key_found, is_merge: is_plain && text == "<<", first });
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { open: Open::Map { key: None, .. }, .. }))
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Marker) -> Result<Node, Problem> {
        let location = self.location(at);
        let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
        let kind = match (core, tag, style) {
            (Some("str"), ..) => Kind::Text(text.to_owned()),
            (Some("int"), ..) => match scalar::integer(text) {
                Some(int) => Kind::Int(int),
                None => return Err(self.problem(at, format!("`{text}` is not an integer"))),
            },
            (Some("float"), ..) => match text.parse::<f64>() {
                Ok(float) => Kind::Float(float),
                Err(_) => return Err(self.problem(at, format!("`{text}` is not a number"))),
            },
            (Some(_), ..) => scalar::resolve(text),
            // What a foreign tag makes of its text is the tag's affair.
            (None, Some(_), _) => Kind::Text(text.to_owned()),
            (None, None, ScalarStyle::Plain) => scalar::resolve(text),
            (None, None, _) => Kind::Text(text.to_owned()),
        };
        let tag = tag.filter(|tag| !tag.is_yaml_core_schema()).map(|tag| tag.to_string().into());
        Ok(Node { kind, location, tag })
    }

    /// Adds to the document's weight and gives the added weight back.
    fn weigh(&mut self, weight: usize, at: Marker) -> Result<usize, Problem> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > WEIGHT_MAX {
            let message = format!(
                "the document takes more than {} MB after its aliases are expanded",
                WEIGHT_MAX >> 20
            );
            return Err(self.problem(at, message));
        }
        Ok(weight)
    }

    fn location(&self, at: Marker) -> Location {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Location {
            file: self.file.clone(),
            line: number(at.line()),
            column: number(at.col()).saturating_add(1),
        }
    }

    fn problem(&self, at: Marker, message: impl Into<String>) -> Problem {
        Problem {
            location: Some(self.location(at)),
            path: String::new(),
            message: message.into(),
            hint: None,
        }
    }

    fn too_deep(&self, at: Marker) -> Problem {
        self.problem(at, format!("lists and mappings are nested deeper than {DEPTH_MAX}"))
    }

    fn scan_problem(&self, error: &ScanError) -> Problem {
        self.problem(*error.marker(), format!("not YAML: {}", error.info()))
    }
}

/// What a node takes in memory, in about bytes, without what is in it.
pub(super) fn node_weight(node: &Node) -> usize {
    match &node.kind {
        Kind::Text(text) => NODE_WEIGHT + text.len(),
        _ => NODE_WEIGHT,
    }
}

/// Adds what a merge key names: one mapping or a list of them, of which the earlier win.
fn merge(merged: &mut Vec<(Key, Node)>, node: Node) -> Result<(), &'static str> {
    const WRONG: &str = "`<<` takes a mapping or a list of mappings";
    match node.kind {
        Kind::Map(entries) => merged.extend(entries),
        Kind::List(items) => {
            for item in items {
                let Kind::Map(entries) = item.kind else { return Err(WRONG) };
                merged.extend(entries);
            }
        }
        _ => return Err(WRONG),
    }
    Ok(())
}

fn with_merged(
    entries: Vec<(Key, Node)>,
    merged: Vec<(Key, Node)>,
    own: &BTreeMap<String, First>,
) -> Vec<(Key, Node)> {
    if merged.is_empty() {
        return entries;
    }
    let mut taken = BTreeSet::new();
    let mut all: Vec<(Key, Node)> = merged
        .into_iter()
        .filter(|(key, _)| !own.contains_key(&key.text) && taken.insert(key.text.clone()))
        .collect();
    all.extend(entries);
    all
}
