//! What the table of structs is made into.

/// The offset of a member: a global that lockc-ebpf defines and the loader sets.
macro_rules! offset {
    ($of:literal $field:ident) => {{
        unsafe extern "C" {
            #[link_name = concat!($of, "__", stringify!($field))]
            static OFFSET: u64;
        }
        // SAFETY: a valid reference; volatile, because the compiler must not fold the initial 0.
        unsafe { ptr::read_volatile(&raw const OFFSET) }
    }};
}

macro_rules! member_of_ptr {
    (* [$target:ty] $of:literal $field:ident) => {
        #[doc = concat!("A pointer in `struct ", $of, "`.")]
        #[inline(always)]
        pub fn $field(self) -> Ptr<$target> {
            self.load(offset!($of $field))
        }
    };
    (probe [$target:ty] $of:literal $field:ident) => {
        #[doc = concat!("A pointer in `struct ", $of, "`.")]
        #[inline(always)]
        pub fn $field(self) -> ProbePtr<$target> {
            self.load(offset!($of $field))
        }
    };
    (embeds $($rest:tt)*) => {};
    (begins $($rest:tt)*) => {};
    ($number:ident [] $of:literal $field:ident) => {
        #[doc = concat!("A number in `struct ", $of, "`.")]
        #[inline(always)]
        pub fn $field(self) -> $number {
            self.load(offset!($of $field))
        }
    };
}

macro_rules! member_of_probe_ptr {
    (embeds [$target:ty] $of:literal $field:ident) => {
        #[doc = concat!("The address of a struct in `struct ", $of, "`.")]
        #[inline(always)]
        pub fn $field(self) -> ProbePtr<$target> {
            ProbePtr::new(self.addr().wrapping_add(offset!($of $field)))
        }
    };
    (begins $($rest:tt)*) => {};
    ($number:ident [] $of:literal $field:ident) => {
        #[doc = concat!("A number in `struct ", $of, "`.")]
        #[inline(always)]
        pub fn $field(self) -> Result<$number, i32> {
            self.member(offset!($of $field))
        }
    };
    ($pointer:tt [$target:ty] $of:literal $field:ident) => {
        #[doc = concat!("A pointer in `struct ", $of, "`.")]
        #[inline(always)]
        pub fn $field(self) -> Result<ProbePtr<$target>, i32> {
            self.member(offset!($of $field))
        }
    };
}

macro_rules! relation {
    (embeds [$target:ty] $name:ident $of:literal $field:ident) => {
        impl Embeds<$target> for $name {
            #[inline(always)]
            fn offset() -> u64 {
                offset!($of $field)
            }
        }
    };
    (begins [$target:ty] $name:ident $of:literal $field:ident) => {
        impl BeginsWith<$target> for $name {}
    };
    ($($rest:tt)*) => {};
}

macro_rules! holds {
    (embeds [$target:ty]) => {
        holds!(begins[$target])
    };
    (begins [$target:ty]) => {
        match <$target as Target>::STRUCT {
            Some(name) => Holds::Struct(name),
            None => Holds::Bytes(size_of::<$target>()),
        }
    };
    ($number:ident []) => {
        Holds::Bytes(size_of::<$number>())
    };
    ($pointer:tt [$target:ty]) => {
        Holds::Pointer(<$target as Target>::STRUCT)
    };
}

macro_rules! global {
    (begins $of:literal $field:ident) => {
        None
    };
    ($kind:tt $of:literal $field:ident) => {
        Some(concat!($of, "__", stringify!($field)))
    };
}

/// Defines the global for one member.
#[doc(hidden)]
#[macro_export]
macro_rules! define_offset {
    (begins $of:literal $field:ident) => {};
    ($kind:tt $of:literal $field:ident) => {
        const _: () = {
            #[unsafe(export_name = concat!($of, "__", stringify!($field)))]
            static OFFSET: u64 = 0;
        };
    };
}

macro_rules! kernel_structs {
    (
        $(#[$about:meta])* $list:ident, $declare:ident;
        $(#[$doc:meta] $name:ident = $of:literal {
            $($field:ident: $kind:tt $($target:ty)? = $($member:literal)|+;)*
        })*
    ) => {
        $(#[$about])*
        pub const $list: &[Field] = &[$($(
            Field {
                global: global!($kind $of $field),
                of: $of,
                members: &[$($member),+],
                holds: holds!($kind [$($target)?]),
            },
        )*)*];

        $(
            #[$doc]
            #[derive(Debug)]
            pub enum $name {}

            impl Target for $name {
                const STRUCT: Option<&'static str> = Some($of);
            }

            impl Ptr<$name> {
                $(member_of_ptr!($kind [$($target)?] $of $field);)*
            }

            impl ProbePtr<$name> {
                $(member_of_probe_ptr!($kind [$($target)?] $of $field);)*
            }

            $(relation!($kind [$($target)?] $name $of $field);)*
        )*

        /// Defines the globals that hold the offsets, in the crate of the programs.
        #[macro_export]
        macro_rules! $declare {
            () => {
                $($($crate::define_offset!($kind $of $field);)*)*
            };
        }
    };
}
