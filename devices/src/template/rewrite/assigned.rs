//! What a template assigns itself: such names it may call whatever they are.

use minijinja::machinery::ast::{Expr, Stmt};
use std::collections::BTreeSet;

/// Collects what the template assigns anywhere.
pub(super) fn collect<'t>(statements: &[Stmt<'t>], names: &mut BTreeSet<&'t str>) {
    for statement in statements {
        match statement {
            Stmt::Template(node) => collect(&node.children, names),
            Stmt::ForLoop(node) => {
                collect_targets(&node.target, names);
                collect(&node.body, names);
                collect(&node.else_body, names);
            }
            Stmt::IfCond(node) => {
                collect(&node.true_body, names);
                collect(&node.false_body, names);
            }
            Stmt::WithBlock(node) => {
                node.assignments.iter().for_each(|(target, _)| collect_targets(target, names));
                collect(&node.body, names);
            }
            Stmt::Set(node) => collect_targets(&node.target, names),
            Stmt::SetBlock(node) => {
                collect_targets(&node.target, names);
                collect(&node.body, names);
            }
            Stmt::AutoEscape(node) => collect(&node.body, names),
            Stmt::FilterBlock(node) => collect(&node.body, names),
            Stmt::Macro(node) => {
                names.insert(node.name);
                node.args.iter().for_each(|parameter| collect_targets(parameter, names));
                collect(&node.body, names);
            }
            Stmt::CallBlock(node) => {
                node.macro_decl.args.iter().for_each(|parameter| collect_targets(parameter, names));
                collect(&node.macro_decl.body, names);
            }
            Stmt::EmitExpr(_) | Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) | Stmt::Do(_) => {}
            Stmt::Block(_) | Stmt::Import(_) | Stmt::FromImport(_) | Stmt::Extends(_) | Stmt::Include(_) => {}
        }
    }
}

fn collect_targets<'t>(target: &Expr<'t>, names: &mut BTreeSet<&'t str>) {
    match target {
        Expr::Var(name) => {
            names.insert(name.id);
        }
        Expr::List(list) => list.items.iter().for_each(|item| collect_targets(item, names)),
        _ => {}
    }
}
