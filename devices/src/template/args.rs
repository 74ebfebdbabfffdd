//! Arguments by place or by name, as Python functions take them.

use minijinja::value::{ArgType, Kwargs, Value};
use minijinja::{Error, ErrorKind, State};

/// What follows the first arguments of a call.
pub(super) struct Args {
    places: Vec<Value>,
    names: Kwargs,
}

impl Args {
    /// Reads a call, or what is left of it.
    pub(super) fn of(values: &[Value]) -> Result<Args, Error> {
        let (places, names): (&[Value], Kwargs) = minijinja::value::from_args(values)?;
        Ok(Args { places: places.to_vec(), names })
    }

    /// The arguments in the order of their names; each may be given by place or by name.
    pub(super) fn take<const N: usize>(self, names: [&str; N]) -> Result<[Option<Value>; N], Error> {
        if self.places.len() > N {
            let message = format!("at most {N} more arguments are taken here");
            return Err(Error::new(ErrorKind::TooManyArguments, message));
        }
        let mut taken = [const { None }; N];
        for (n, name) in names.into_iter().enumerate() {
            taken[n] = match self.places.get(n) {
                Some(value) => Some(value.clone()),
                None if self.names.has(name) => Some(self.names.get::<Value>(name)?),
                None => None,
            };
        }
        self.names.assert_all_used()?;
        Ok(taken)
    }

    /// All arguments, with the names of those that have one.
    pub(super) fn parts(self) -> (Vec<Value>, Kwargs) {
        (self.places, self.names)
    }

    /// The arguments that have no name, and those that are given by name only.
    pub(super) fn split<const N: usize>(
        self,
        names: [&str; N],
    ) -> Result<(Vec<Value>, [Option<Value>; N]), Error> {
        let places = self.places;
        let taken = Args { places: Vec::new(), names: self.names }.take(names)?;
        Ok((places, taken))
    }
}

impl<'a> ArgType<'a> for Args {
    type Output = Args;

    fn from_value(_value: Option<&'a Value>) -> Result<Args, Error> {
        Err(ErrorKind::MissingArgument.into())
    }

    fn from_state_and_values(
        _state: Option<&'a State>,
        values: &'a [Value],
        offset: usize,
    ) -> Result<(Args, usize), Error> {
        let rest = values.get(offset..).unwrap_or_default();
        Ok((Args::of(rest)?, rest.len()))
    }

    fn from_state_and_values_mut(
        _state: Option<&State>,
        values: &'a [Value],
        offset: usize,
    ) -> Result<(Args, usize), Error> {
        Args::from_state_and_values(None, values, offset)
    }
}

/// Whether an optional argument was given and is true.
pub(super) fn is_given(argument: &Option<Value>) -> bool {
    argument.as_ref().is_some_and(Value::is_true)
}
