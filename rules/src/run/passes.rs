//! The passes of a `repeat:`.

use super::{Pass, Run};
use crate::action::repeat::{Bound, Repeat};
use crate::action::{Action, ActionKind, Failure, Step};
use crate::condition::logic::all_hold;
use crate::work::Work;
use gable_devices::{Context, Data};
use std::collections::BTreeMap;

/// The variable that a pass sees.
const VARIABLE: &str = "repeat";

impl Work<'_> {
    /// Begins a `repeat:`, or passes over it if there is nothing to repeat.
    pub(super) fn first_pass(
        &mut self,
        context: &mut Context,
        repeat: &Repeat,
        run: &mut Run,
    ) -> Result<Step, Failure> {
        let items = repeat.items(context)?;
        let count = match (&repeat.bound, &items) {
            (Bound::Count(count), _) => Some(count.render(context)?),
            (_, Some(items)) => Some(u32::try_from(items.len()).unwrap_or(u32::MAX)),
            (_, None) => None,
        };
        let around = context.variables().get(VARIABLE).cloned();
        let pass = Pass { index: 1, count, items: items.unwrap_or_default(), around };
        let goes = self.begins(context, repeat, &pass);
        if goes {
            run.cursor.enter(0, Some(pass));
            Ok(Step::Stay)
        } else {
            restore(context, pass);
            Ok(Step::Next)
        }
    }

    /// A pass has ended: begins the next one, or goes on behind the `repeat:`.
    pub(super) fn next_pass(&mut self, context: &mut Context, action: &Action, run: &mut Run) {
        let ActionKind::Repeat(repeat) = &action.kind else {
            run.cursor.leave();
            return;
        };
        let is_done = match &repeat.bound {
            Bound::Until(conditions) => {
                let scene = self.scene(context);
                scene.under(format_args!("repeat.until"));
                all_hold(conditions, &scene).is_ok()
            }
            Bound::Count(_) | Bound::While(_) | Bound::Each(_) => false,
        };
        let next = run.cursor.pass_mut().map(|pass| {
            pass.index = pass.index.saturating_add(1);
            pass.clone()
        });
        match next {
            Some(pass) if !is_done && self.begins(context, repeat, &pass) => run.cursor.rewind(),
            Some(_) | None => {
                if let Some(pass) = run.cursor.leave() {
                    restore(context, pass);
                }
            }
        }
    }

    /// Whether a pass begins; sets its variable.
    fn begins(&mut self, context: &mut Context, repeat: &Repeat, pass: &Pass) -> bool {
        if pass.count.is_some_and(|count| pass.index > count) {
            return false;
        }
        let item = usize::try_from(pass.index).ok().and_then(|index| pass.items.get(index.wrapping_sub(1)));
        let mut variable = BTreeMap::from([
            ("first".to_owned(), Data::Bool(pass.index == 1)),
            ("index".to_owned(), Data::Int(i64::from(pass.index))),
        ]);
        if let Some(count) = pass.count {
            variable.insert("last".to_owned(), Data::Bool(pass.index == count));
        }
        if let Some(item) = item {
            variable.insert("item".to_owned(), item.clone());
        }
        context.set(VARIABLE, Data::Map(variable));
        match &repeat.bound {
            Bound::While(conditions) => {
                let scene = self.scene(context);
                scene.under(format_args!("repeat.while"));
                all_hold(conditions, &scene).is_ok()
            }
            Bound::Count(_) | Bound::Until(_) | Bound::Each(_) => true,
        }
    }
}

/// Gives the loop around its variable back.
fn restore(context: &mut Context, pass: Pass) {
    match pass.around {
        Some(around) => context.set(VARIABLE, around),
        None => context.unset(VARIABLE),
    }
}
