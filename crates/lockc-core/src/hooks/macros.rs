//! What the table of hooks is made into.

macro_rules! without {
    () => {
        Without::Refused
    };
    (loses $what:literal) => {
        Without::Loses($what)
    };
    (covered $why:literal) => {
        Without::Covered($why)
    };
}

macro_rules! argument {
    () => {
        Argument::Unused
    };
    ($argument:expr) => {{
        use Argument::*;
        $argument
    }};
}

macro_rules! hooks {
    ($(
        $number:literal $name:ident since $since:literal
            guards $guards:literal
            $($kind:ident $without:literal)?
            $(=> $argument:expr)?;
    )*) => {
        /// The hook that an event or an internal error comes from, by its kernel name. Numbers are
        /// part of the ABI: a hook keeps its number, and a new hook takes the next one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        #[allow(non_camel_case_types)] // the kernel's names, from include/linux/lsm_hook_defs.h
        pub enum Hook {
            $(#[doc = $guards] $name = $number,)*
        }

        impl Hook {
            /// The hook of a number from an event, if it is one.
            pub const fn from_raw(raw: u32) -> Option<Self> {
                match raw {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its row.
            pub const fn program(self) -> &'static Program {
                match self {
                    $(Self::$name => &Program {
                        name: stringify!($name),
                        hook: Hook::$name,
                        since: $since,
                        guards: $guards,
                        without: without!($($kind $without)?),
                        argument: argument!($($argument)?),
                    },)*
                }
            }
        }

        /// Every program.
        pub const PROGRAMS: &[Program] = &[$(*Hook::$name.program(),)*];
    };
}
