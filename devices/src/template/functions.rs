//! Every name that templates may call. To add one, write the function and name it here: whether it
//! goes as `name(x)`, as `x | name` or as `x is name` is what the lists say.

use super::rewrite::Names;
use super::{json, lists, numbers, operators, regex, span, states, text, time, transcendental};
use minijinja::Environment;
use minijinja::functions::Function;
use minijinja::value::{FunctionArgs, FunctionResult, Value};

/// Filters that the engine brings and that are used as they are.
const BUILTIN_FILTERS: [&str; 23] = [
    "attr",
    "batch",
    "chain",
    "dictsort",
    "e",
    "escape",
    "first",
    "groupby",
    "items",
    "last",
    "lines",
    "map",
    "reject",
    "rejectattr",
    "reverse",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "tojson",
    "unique",
];
/// Those of them that go through a list and make another: both are weighed.
pub(super) const WEIGHED_FILTERS: [&str; 16] = [
    "batch",
    "chain",
    "dictsort",
    "groupby",
    "items",
    "lines",
    "map",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "unique",
];
/// Tests that the engine brings.
const BUILTIN_TESTS: [&str; 24] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "integer",
    "int",
    "iterable",
    "lower",
    "mapping",
    "none",
    "number",
    "odd",
    "safe",
    "sameas",
    "startingwith",
    "test",
    "true",
    "undefined",
    "upper",
];
/// Functions that the engine brings.
const BUILTIN_FUNCTIONS: [&str; 2] = ["namespace", "range"];

/// Makes the names known to the engine and to whoever checks a template.
pub(super) fn add_to(environment: &mut Environment<'static>) -> Names {
    let mut names = Names::default();
    names.filters.extend(BUILTIN_FILTERS);
    names.tests.extend(BUILTIN_TESTS);
    names.functions.extend(BUILTIN_FUNCTIONS);
    let mut registry = Registry { environment, names };
    registry.add_operators();
    registry.add_entities();
    registry.add_times();
    registry.add_numbers();
    registry.add_texts();
    registry.add_lists();
    registry.names
}

struct Registry<'e> {
    environment: &'e mut Environment<'static>,
    names: Names,
}

impl Registry<'_> {
    fn function<F, R, A>(&mut self, name: &'static str, function: F)
    where
        F: Function<R, A>,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a>,
    {
        self.names.functions.insert(name);
        self.environment.add_function(name, function);
    }

    fn filter<F, R, A>(&mut self, name: &'static str, function: F)
    where
        F: Function<R, A>,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a>,
    {
        self.names.filters.insert(name);
        self.environment.add_filter(name, function);
    }

    fn test<F, R, A>(&mut self, name: &'static str, function: F)
    where
        F: Function<R, A>,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a>,
    {
        self.names.tests.insert(name);
        self.environment.add_test(name, function);
    }

    /// As a function and as a filter.
    fn both<F, R, A>(&mut self, name: &'static str, function: F)
    where
        F: Function<R, A> + Clone,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a>,
    {
        self.filter(name, function.clone());
        self.function(name, function);
    }

    /// As a function, a filter and a test.
    fn all<F, R, A>(&mut self, name: &'static str, function: F)
    where
        F: Function<R, A> + Clone,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a>,
    {
        self.test(name, function.clone());
        self.both(name, function);
    }

    /// What `rewrite.rs` puts in the place of operators, and the tests that are operators.
    fn add_operators(&mut self) {
        self.filter("__add", operators::add);
        self.filter("__sub", operators::sub);
        self.filter("__mul", operators::mul);
        self.filter("__div", operators::div);
        self.filter("__floordiv", operators::floordiv);
        self.filter("__mod", operators::modulo);
        self.filter("__pow", operators::pow);
        self.filter("__neg", operators::neg);
        self.filter("__concat", operators::concat);
        self.filter("__slice", operators::slice);
        self.filter("__eq", operators::eq);
        self.filter("__ne", operators::ne);
        self.filter("__lt", operators::lt);
        self.filter("__le", operators::le);
        self.filter("__gt", operators::gt);
        self.filter("__ge", operators::ge);
        self.filter("__in", operators::is_in);
        self.filter("__compare", operators::chain);
        self.filter("__keep", operators::keep);
        self.filter("__store", operators::store);
        self.filter("__iterate", operators::iterate);
        for name in ["eq", "equalto", "=="] {
            self.test(name, operators::eq);
        }
        for name in ["ne", "!="] {
            self.test(name, operators::ne);
        }
        for name in ["lt", "lessthan", "<"] {
            self.test(name, operators::lt);
        }
        for name in ["le", "<="] {
            self.test(name, operators::le);
        }
        for name in ["gt", "greaterthan", ">"] {
            self.test(name, operators::gt);
        }
        for name in ["ge", ">="] {
            self.test(name, operators::ge);
        }
        self.test("in", operators::is_in);
    }

    /// `states` itself is a variable of each rendering; see `home.rs`.
    fn add_entities(&mut self) {
        self.filter("states", states::states);
        self.both("state_translated", states::state_translated);
        self.both("state_attr", states::state_attr);
        self.all("is_state", states::is_state);
        self.all("is_state_attr", states::is_state_attr);
        self.all("has_value", states::has_value);
        self.both("expand", states::expand);
        self.both("area_entities", states::area_entities);
        self.both("label_entities", states::label_entities);
    }

    fn add_times(&mut self) {
        self.function("now", time::now);
        self.function("utcnow", time::utcnow);
        self.both("today_at", time::today_at);
        self.both("as_timestamp", time::as_timestamp);
        self.both("as_datetime", time::as_datetime);
        self.both("as_local", time::as_local);
        self.both("as_timedelta", span::as_timedelta);
        self.function("timedelta", span::timedelta);
        self.both("relative_time", time::time_since);
        self.both("time_since", time::time_since);
        self.both("time_until", time::time_until);
        self.both("timestamp_local", time::timestamp_local);
        self.both("timestamp_utc", time::timestamp_utc);
        self.both("timestamp_custom", time::timestamp_custom);
        self.both("strptime", time::strptime);
        self.both("strftime", time::strftime);
        self.test("datetime", time::is_datetime);
    }

    fn add_numbers(&mut self) {
        self.both("float", numbers::float);
        self.both("int", numbers::int);
        self.both("bool", numbers::bool);
        self.both("round", numbers::round);
        self.all("is_number", numbers::is_number);
        self.both("multiply", numbers::multiply);
        self.both("add", numbers::add);
        self.both("sqrt", numbers::sqrt);
        self.both("log", transcendental::log);
        self.both("atan2", transcendental::atan2);
        self.both("sin", transcendental::of_one("sin", libm::sin));
        self.both("cos", transcendental::of_one("cos", libm::cos));
        self.both("tan", transcendental::of_one("tan", libm::tan));
        self.both("asin", transcendental::of_one("asin", libm::asin));
        self.both("acos", transcendental::of_one("acos", libm::acos));
        self.both("atan", transcendental::of_one("atan", libm::atan));
        self.filter("abs", numbers::abs);
        self.filter("sum", numbers::sum);
        self.both("min", numbers::min);
        self.both("max", numbers::max);
        self.both("average", numbers::average);
        self.both("median", numbers::median);
        self.both("statistical_mode", numbers::statistical_mode);
        self.filter("ordinal", numbers::ordinal);
        self.both("bitwise_and", numbers::bitwise_and);
        self.both("bitwise_or", numbers::bitwise_or);
        self.both("bitwise_xor", numbers::bitwise_xor);
        self.environment.add_global("pi", Value::from(std::f64::consts::PI));
        self.environment.add_global("tau", Value::from(std::f64::consts::TAU));
        self.environment.add_global("e", Value::from(std::f64::consts::E));
        self.environment.add_global("inf", Value::from(f64::INFINITY));
    }

    fn add_texts(&mut self) {
        self.filter("lower", text::lower);
        self.filter("upper", text::upper);
        self.filter("title", text::title);
        self.filter("capitalize", text::capitalize);
        self.filter("string", text::string);
        self.filter("trim", text::trim);
        self.filter("replace", text::replace);
        self.filter("format", text::format);
        self.filter("center", text::center);
        self.filter("indent", text::indent);
        self.filter("truncate", text::truncate);
        self.filter("wordcount", text::wordcount);
        self.filter("pprint", text::pprint);
        self.filter("ord", text::ord);
        self.both("slugify", text::slugify);
        self.both("urlencode", text::urlencode);
        self.both("base64_encode", text::base64_encode);
        self.both("base64_decode", text::base64_decode);
        self.test("string", text::is_string);
        self.test("string_like", text::is_string);
        self.both("from_json", json::from_json);
        self.both("to_json", json::to_json);
        self.filter("regex_match", regex::regex_match);
        self.filter("regex_search", regex::regex_search);
        self.filter("regex_replace", regex::regex_replace);
        self.filter("regex_findall", regex::regex_findall);
        self.filter("regex_findall_index", regex::regex_findall_index);
        self.test("match", regex::regex_match);
        self.test("search", regex::regex_search);
    }

    fn add_lists(&mut self) {
        self.both("list", lists::list);
        self.both("tuple", lists::tuple);
        self.both("set", lists::set);
        self.filter("length", lists::length);
        self.filter("count", lists::length);
        self.filter("default", lists::default);
        self.filter("d", lists::default);
        self.filter("join", lists::join);
        self.function("dict", lists::dict);
        self.both("zip", lists::zip);
        self.filter("random", lists::random);
        self.both("shuffle", lists::shuffle);
        self.filter("contains", lists::contains);
        self.test("contains", lists::contains);
        self.both("flatten", lists::flatten);
        self.both("intersect", lists::intersect);
        self.both("difference", lists::difference);
        self.both("symmetric_difference", lists::symmetric_difference);
        self.both("union", lists::union);
        self.both("combine", lists::combine);
        self.both("typeof", lists::type_of);
        self.both("iif", lists::iif);
        self.both("is_defined", lists::is_defined);
        self.test("list", lists::is_a_list);
        self.test("tuple", lists::is_a_tuple);
        self.test("sequence", lists::is_sequence);
    }
}
