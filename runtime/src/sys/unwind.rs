//! The unwinder of a program in which nothing unwinds: a panic of the release binary aborts, and it has no tables to walk
//! the stack by. std and the C library name these functions, and would link libgcc's, std's reader of debug information
//! with it. In their place: a stack that ends where it starts, and an end for whoever wants more.

use std::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK` of the Itanium C++ ABI, level I.
const END_OF_STACK: c_int = 5;

// SAFETY: the name and signature of the ABI; and a function that calls nothing is right about every stack.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

macro_rules! aborts {
    ($($name:ident)*) => {$(
        // SAFETY: the name is the ABI's; what arguments a caller passes does not matter to a function that ends the
        // process, and returns nothing to any.
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> ! {
            std::process::abort()
        }
    )*};
}

// All of libgcc's: with one missing the linker takes the whole object, and has the others twice.
aborts! {
    _Unwind_DeleteException
    _Unwind_FindEnclosingFunction
    _Unwind_ForcedUnwind
    _Unwind_GetCFA
    _Unwind_GetDataRelBase
    _Unwind_GetGR
    _Unwind_GetIP
    _Unwind_GetIPInfo
    _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart
    _Unwind_GetTextRelBase
    _Unwind_RaiseException
    _Unwind_Resume
    _Unwind_Resume_or_Rethrow
    _Unwind_SetGR
    _Unwind_SetIP
    __gcc_personality_v0
}
