//! Templates as the engine gets them: the same template with every operator spelled as a call of
//! ours, so that Python's rules hold (`now() - state.last_changed`, `'5' > 4` is an error) and so that
//! no single step can use up memory or time. Names that nobody knows are found on the way.
//!
//! The engine's parser and its syntax tree are not part of what it keeps stable, so its version is
//! pinned in the root `Cargo.toml`.

mod assigned;

use super::TemplateError;
use super::functions::WEIGHED_FILTERS;
use crate::yaml::did_you_mean;
use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, Spanned, Stmt, UnaryOpKind};
use minijinja::machinery::{Span, Token, ast, parse, tokenize};
use minijinja::value::{Value, ValueKind};
use std::collections::BTreeSet;
use std::fmt::Write;

/// How many operators may follow each other in one expression; a bound on the native stack.
const CHAIN_MAX: usize = 250;
/// How many `elif` one template may have, for the same reason.
const ELIF_MAX: usize = 150;

/// The names that the engine was given.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) functions: BTreeSet<&'static str>,
    pub(super) filters: BTreeSet<&'static str>,
    pub(super) tests: BTreeSet<&'static str>,
}

/// A template in the engine's own words, and the variables that it takes from outside.
pub(super) fn rewrite(text: &str, names: &Names) -> Result<String, TemplateError> {
    check_chains(text)?;
    let tree = parse(text, super::NAME, Default::default()).map_err(|error| super::from_engine(&error))?;
    let mut assigned = BTreeSet::new();
    assigned::collect(std::slice::from_ref(&tree), &mut assigned);
    let mut writer = Writer { names, assigned, output: String::with_capacity(text.len() * 2) };
    writer.statement(&tree)?;
    Ok(writer.output)
}

/// Refuses what would make the parser or the compiler call itself too deep.
fn check_chains(text: &str) -> Result<(), TemplateError> {
    let mut open = Vec::new();
    let mut chain = 0;
    let mut elifs = 0;
    for token in tokenize(text, false, Default::default()) {
        // What is wrong here, the parser reports better.
        let Ok((token, span)) = token else { return Ok(()) };
        match token {
            Token::TemplateData(_) | Token::VariableStart | Token::BlockStart => {
                open.clear();
                chain = 0;
            }
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => {
                chain += 1;
                open.push(chain);
            }
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                chain = open.pop().unwrap_or_default();
            }
            Token::Comma | Token::Colon => chain = open.last().copied().unwrap_or_default(),
            Token::Ident("elif") => elifs += 1,
            Token::Ident("and" | "or" | "not" | "in" | "is" | "if" | "else") => chain += 1,
            Token::Ident(_) | Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Int128(_) => {}
            Token::Float(_) | Token::VariableEnd | Token::BlockEnd | Token::Assign => {}
            _ => chain += 1,
        }
        if chain > CHAIN_MAX || open.len() > CHAIN_MAX || elifs > ELIF_MAX {
            return Err(syntax(
                span,
                "this is too long or nested too deep; set a part of it first".to_owned(),
            ));
        }
    }
    Ok(())
}

fn syntax(span: Span, message: String) -> TemplateError {
    TemplateError::Syntax { line: usize::from(span.start_line), message }
}

struct Writer<'t> {
    names: &'t Names,
    /// What the template itself assigns anywhere: macros, loop variables, `set`.
    assigned: BTreeSet<&'t str>,
    output: String,
}

type Written = Result<(), TemplateError>;

impl<'t> Writer<'t> {
    fn push(&mut self, text: &str) {
        self.output.push_str(text);
    }

    fn body(&mut self, statements: &[Stmt<'t>]) -> Written {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Stmt<'t>) -> Written {
        match statement {
            Stmt::Template(template) => self.body(&template.children),
            Stmt::EmitExpr(emit) => self.wrapped("{{ ", &emit.expr, " }}"),
            Stmt::EmitRaw(raw) => {
                // As an expression it is counted like everything that is put out.
                self.push("{{ ");
                self.text(raw.raw);
                self.push(" }}");
                Ok(())
            }
            Stmt::ForLoop(node) => self.for_loop(node),
            Stmt::IfCond(node) => self.if_condition(node),
            Stmt::WithBlock(node) => self.with_block(node),
            Stmt::Set(node) => self.set(node),
            Stmt::SetBlock(node) => self.set_block(node),
            // Escaping is for pages; what Home Assistant renders is never escaped.
            Stmt::AutoEscape(node) => self.body(&node.body),
            Stmt::FilterBlock(node) => {
                self.wrapped("{% filter ", &node.filter, " %}")?;
                self.body(&node.body)?;
                self.push("{% endfilter %}");
                Ok(())
            }
            Stmt::Macro(node) => {
                self.push("{% macro ");
                self.push(node.name);
                self.parameters(node)?;
                self.push(" %}");
                self.body(&node.body)?;
                self.push("{% endmacro %}");
                Ok(())
            }
            Stmt::CallBlock(node) => {
                self.push("{% call");
                self.parameters(&node.macro_decl)?;
                self.push(" ");
                self.call(&node.call)?;
                self.push(" %}");
                self.body(&node.macro_decl.body)?;
                self.push("{% endcall %}");
                Ok(())
            }
            Stmt::Continue(_) => {
                self.push("{% continue %}");
                Ok(())
            }
            Stmt::Break(_) => {
                self.push("{% break %}");
                Ok(())
            }
            Stmt::Do(node) => {
                self.push("{% do ");
                self.call(&node.call)?;
                self.push(" %}");
                Ok(())
            }
            Stmt::Block(node) => Err(files("block", node.span())),
            Stmt::Import(node) => Err(files("import", node.span())),
            Stmt::FromImport(node) => Err(files("from", node.span())),
            Stmt::Extends(node) => Err(files("extends", node.span())),
            Stmt::Include(node) => Err(files("include", node.span())),
        }
    }

    fn with_block(&mut self, node: &ast::WithBlock<'t>) -> Written {
        self.push("{% with ");
        for (n, (target, value)) in node.assignments.iter().enumerate() {
            self.push(if n > 0 { ", " } else { "" });
            self.target(target, true);
            self.push(" = ");
            self.expression(value)?;
        }
        self.push(" %}");
        self.body(&node.body)?;
        self.push("{% endwith %}");
        Ok(())
    }

    fn set_block(&mut self, node: &ast::SetBlock<'t>) -> Written {
        self.push("{% set ");
        self.target(&node.target, false);
        if let Some(filter) = &node.filter {
            self.push(" | ");
            self.expression(filter)?;
        }
        self.push(" %}");
        self.body(&node.body)?;
        self.push("{% endset %}");
        Ok(())
    }

    fn for_loop(&mut self, node: &ast::ForLoop<'t>) -> Written {
        self.push("{% for ");
        self.target(&node.target, false);
        self.push(" in ");
        self.operand(&node.iter)?;
        // A list is gone through as it stands, whatever it was made from.
        self.push("|__iterate");
        if let Some(condition) = &node.filter_expr {
            self.push(" if ");
            self.operand(condition)?;
        }
        self.push(if node.recursive { " recursive %}" } else { " %}" });
        self.body(&node.body)?;
        if !node.else_body.is_empty() {
            self.push("{% else %}");
            self.body(&node.else_body)?;
        }
        self.push("{% endfor %}");
        Ok(())
    }

    fn if_condition(&mut self, node: &ast::IfCond<'t>) -> Written {
        self.wrapped("{% if ", &node.expr, " %}")?;
        self.body(&node.true_body)?;
        let mut otherwise = &node.false_body;
        while let [Stmt::IfCond(next)] = otherwise.as_slice() {
            self.wrapped("{% elif ", &next.expr, " %}")?;
            self.body(&next.true_body)?;
            otherwise = &next.false_body;
        }
        if !otherwise.is_empty() {
            self.push("{% else %}");
            self.body(otherwise)?;
        }
        self.push("{% endif %}");
        Ok(())
    }

    fn set(&mut self, node: &ast::Set<'t>) -> Written {
        self.push("{% set ");
        self.target(&node.target, false);
        self.push(" = ");
        self.operand(&node.expr)?;
        // What goes into a namespace outlives the loop that made it.
        self.push(if matches!(node.target, Expr::GetAttr(_)) { "|__store %}" } else { " %}" });
        Ok(())
    }

    fn target(&mut self, target: &Expr<'t>, is_nested: bool) {
        match target {
            Expr::Var(name) => self.push(name.id),
            Expr::GetAttr(attribute) => {
                self.target(&attribute.expr, true);
                self.push(".");
                self.push(attribute.name);
            }
            Expr::List(list) => {
                self.push(if is_nested { "(" } else { "" });
                for (n, item) in list.items.iter().enumerate() {
                    self.push(if n > 0 { ", " } else { "" });
                    self.target(item, true);
                }
                self.push(if list.items.len() == 1 { "," } else { "" });
                self.push(if is_nested { ")" } else { "" });
            }
            _ => {}
        }
    }

    fn parameters(&mut self, node: &ast::Macro<'t>) -> Written {
        self.push("(");
        let required = node.args.len() - node.defaults.len().min(node.args.len());
        for (n, parameter) in node.args.iter().enumerate() {
            self.push(if n > 0 { ", " } else { "" });
            self.target(parameter, true);
            if let Some(default) = n.checked_sub(required).and_then(|n| node.defaults.get(n)) {
                self.push("=");
                self.expression(default)?;
            }
        }
        self.push(")");
        Ok(())
    }

    fn wrapped(&mut self, before: &str, expression: &Expr<'t>, after: &str) -> Written {
        self.push(before);
        self.expression(expression)?;
        self.push(after);
        Ok(())
    }

    /// An expression that an attribute, an index or arguments follow.
    fn base(&mut self, expression: &Expr<'t>) -> Written {
        match expression {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) | Expr::Call(_) => self.expression(expression),
            _ => self.wrapped("(", expression, ")"),
        }
    }

    /// An expression that a filter, a test or an operator follows.
    fn operand(&mut self, expression: &Expr<'t>) -> Written {
        let is_closed = match expression {
            Expr::Var(_) | Expr::Filter(_) | Expr::GetAttr(_) | Expr::GetItem(_) | Expr::Call(_) => true,
            Expr::List(_) | Expr::Map(_) | Expr::Tuple(_) | Expr::Slice(_) | Expr::Compare(_) => true,
            Expr::Const(constant) => constant.value.as_str().is_some(),
            Expr::BinOp(node) => !matches!(node.op, BinOpKind::ScAnd | BinOpKind::ScOr),
            Expr::UnaryOp(node) => matches!(node.op, UnaryOpKind::Neg),
            Expr::IfExpr(_) | Expr::Test(_) => false,
        };
        if is_closed { self.expression(expression) } else { self.wrapped("(", expression, ")") }
    }

    fn expression(&mut self, expression: &Expr<'t>) -> Written {
        match expression {
            Expr::Var(name) => {
                self.push(name.id);
                Ok(())
            }
            Expr::Const(constant) => {
                self.constant(&constant.value);
                Ok(())
            }
            Expr::Slice(node) => self.slice(node),
            Expr::UnaryOp(node) => match node.op {
                UnaryOpKind::Not => {
                    self.push("not ");
                    self.operand(&node.expr)
                }
                UnaryOpKind::Neg => {
                    self.operand(&node.expr)?;
                    self.push("|__neg");
                    Ok(())
                }
            },
            Expr::BinOp(node) => self.binary(node),
            Expr::Compare(node) => self.comparisons(node),
            Expr::IfExpr(node) => {
                self.operand(&node.true_expr)?;
                self.push(" if ");
                self.operand(&node.test_expr)?;
                if let Some(otherwise) = &node.false_expr {
                    self.push(" else ");
                    self.operand(otherwise)?;
                }
                Ok(())
            }
            Expr::Filter(node) => self.filter(node),
            Expr::Test(node) => {
                let name = check("test", node.name, &self.names.tests, node.span())?;
                self.operand(&node.expr)?;
                self.push(" is ");
                self.push(name);
                if node.args.is_empty() { Ok(()) } else { self.arguments(&node.args) }
            }
            Expr::GetAttr(node) => {
                self.base(&node.expr)?;
                self.push(".");
                self.push(node.name);
                Ok(())
            }
            Expr::GetItem(node) => {
                self.base(&node.expr)?;
                self.wrapped("[", &node.subscript_expr, "]")
            }
            Expr::Call(node) => self.call(node),
            Expr::List(node) => self.items("[", &node.items, "]"),
            Expr::Tuple(node) => self.items("(", &node.items, ")"),
            Expr::Map(node) => self.mapping(node),
        }
    }

    fn slice(&mut self, node: &ast::Slice<'t>) -> Written {
        self.operand(&node.expr)?;
        self.push("|__slice(");
        for (n, part) in [&node.start, &node.stop, &node.step].into_iter().enumerate() {
            self.push(if n > 0 { ", " } else { "" });
            match part {
                Some(part) => self.expression(part)?,
                None => self.push("none"),
            }
        }
        self.push(")");
        Ok(())
    }

    fn comparisons(&mut self, node: &ast::Compare<'t>) -> Written {
        self.operand(&node.expr)?;
        self.push("|__compare(");
        for next in &node.ops {
            self.text(comparison(next.op));
            self.wrapped(", ", &next.expr, ", ")?;
        }
        self.push(")");
        Ok(())
    }

    fn mapping(&mut self, node: &ast::Map<'t>) -> Written {
        self.push("{");
        for (key, value) in node.keys.iter().zip(&node.values) {
            self.expression(key)?;
            self.wrapped(": ", value, ", ")?;
        }
        self.push("}");
        self.keep(node.keys.iter().chain(&node.values));
        Ok(())
    }

    fn binary(&mut self, node: &Spanned<ast::BinOp<'t>>) -> Written {
        let name = match node.op {
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                self.operand(&node.left)?;
                self.push(if matches!(node.op, BinOpKind::ScAnd) { " and " } else { " or " });
                return self.operand(&node.right);
            }
            BinOpKind::Eq => "__eq",
            BinOpKind::Ne => "__ne",
            BinOpKind::Lt => "__lt",
            BinOpKind::Lte => "__le",
            BinOpKind::Gt => "__gt",
            BinOpKind::Gte => "__ge",
            BinOpKind::Add => "__add",
            BinOpKind::Sub => "__sub",
            BinOpKind::Mul => "__mul",
            BinOpKind::Div => "__div",
            BinOpKind::FloorDiv => "__floordiv",
            BinOpKind::Rem => "__mod",
            BinOpKind::Pow => "__pow",
            BinOpKind::Concat => "__concat",
            BinOpKind::In => "__in",
        };
        self.operand(&node.left)?;
        self.push("|");
        self.push(name);
        self.wrapped("(", &node.right, ")")
    }

    fn filter(&mut self, node: &Spanned<ast::Filter<'t>>) -> Written {
        let name = check("filter", node.name, &self.names.filters, node.span())?;
        let is_weighed = WEIGHED_FILTERS.contains(&name);
        // In front of a block there is nothing to apply the first one to.
        if let Some(value) = &node.expr {
            self.operand(value)?;
            self.push(if is_weighed { "|__keep|" } else { "|" });
        }
        self.push(name);
        if !node.args.is_empty() {
            self.arguments(&node.args)?;
        }
        self.push(if is_weighed { "|__keep" } else { "" });
        Ok(())
    }

    fn call(&mut self, node: &Spanned<ast::Call<'t>>) -> Written {
        match &node.expr {
            Expr::Var(name) if !self.assigned.contains(name.id) => {
                let is_engine = matches!(name.id, "loop" | "caller" | "states");
                if !is_engine {
                    check("function", name.id, &self.names.functions, node.span())?;
                }
                self.push(name.id);
            }
            callee => self.base(callee)?,
        }
        self.arguments(&node.args)
    }

    fn arguments(&mut self, arguments: &[CallArg<'t>]) -> Written {
        self.push("(");
        for (n, argument) in arguments.iter().enumerate() {
            self.push(if n > 0 { ", " } else { "" });
            let value = match argument {
                CallArg::Pos(value) => value,
                CallArg::Kwarg(name, value) => {
                    self.push(name);
                    self.push("=");
                    value
                }
                CallArg::PosSplat(value) => {
                    self.push("*");
                    value
                }
                CallArg::KwargSplat(value) => {
                    self.push("**");
                    value
                }
            };
            self.expression(value)?;
        }
        self.push(")");
        Ok(())
    }

    fn items(&mut self, open: &str, items: &[Expr<'t>], close: &str) -> Written {
        self.push(open);
        for item in items {
            self.expression(item)?;
            self.push(", ");
        }
        self.push(close);
        self.keep(items.iter());
        Ok(())
    }

    /// Has a list or mapping weighed that is made while rendering; constants are what they are.
    fn keep<'e>(&mut self, mut items: impl Iterator<Item = &'e Expr<'t>>)
    where
        't: 'e,
    {
        if !items.all(|item| matches!(item, Expr::Const(_))) {
            self.push("|__keep");
        }
    }

    fn constant(&mut self, value: &Value) {
        match value.kind() {
            ValueKind::String => self.text(value.as_str().unwrap_or_default()),
            ValueKind::Bool => self.push(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if !value.is_integer() => {
                // Without an exponent, which the engine would read too, but not in all its forms.
                let number = f64::try_from(value.clone()).unwrap_or_default();
                let digits = number.to_string();
                self.push(&digits);
                self.push(if digits.contains('.') { "" } else { ".0" });
            }
            ValueKind::Number => {
                let _written = write!(self.output, "{value}");
            }
            _ => self.push("none"),
        }
    }

    fn text(&mut self, text: &str) {
        self.push("\"");
        for c in text.chars() {
            match c {
                '"' => self.push("\\\""),
                '\\' => self.push("\\\\"),
                '\n' => self.push("\\n"),
                '\r' => self.push("\\r"),
                c => self.output.push(c),
            }
        }
        self.push("\"");
    }
}

fn comparison(op: CompareOpKind) -> &'static str {
    match op {
        CompareOpKind::Eq => "==",
        CompareOpKind::Ne => "!=",
        CompareOpKind::Lt => "<",
        CompareOpKind::Lte => "<=",
        CompareOpKind::Gt => ">",
        CompareOpKind::Gte => ">=",
        CompareOpKind::In => "in",
        CompareOpKind::NotIn => "not in",
    }
}

/// Finds a name among those that there are; ours begin with two underscores and are not for people.
fn check<'n>(
    kind: &str,
    name: &'n str,
    known: &BTreeSet<&'static str>,
    span: Span,
) -> Result<&'n str, TemplateError> {
    if known.contains(name) && !name.starts_with("__") {
        return Ok(name);
    }
    if let Some(why) = left_out(name) {
        return Err(syntax(span, format!("the {kind} `{name}` is not offered: {why}")));
    }
    let public = known.iter().copied().filter(|known| !known.starts_with("__"));
    let hint = did_you_mean(name, public).map(|hint| format!(" (did you mean `{hint}`?)"));
    Err(syntax(span, format!("there is no {kind} `{name}`{}", hint.unwrap_or_default())))
}

/// Why a function of Home Assistant is left out on purpose.
fn left_out(name: &str) -> Option<&'static str> {
    Some(match name {
        "distance" | "closest" => "this home has no coordinates of its entities",
        "device_entities"
        | "device_attr"
        | "is_device_attr"
        | "device_id"
        | "device_name"
        | "config_entry_id"
        | "config_entry_attr"
        | "integration_entities"
        | "issues"
        | "issue" => "it asks for Home Assistant's own registries",
        _ => return None,
    })
}

fn files(keyword: &str, span: Span) -> TemplateError {
    let message =
        format!("`{keyword}` takes templates from other files, which do not exist here; write it inline");
    syntax(span, message)
}
