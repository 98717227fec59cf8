// guard(): the only try/catch of the shim. Every entry point that can fail runs its body inside one.
#pragma once

#include "psc.h"

#include <c10/util/Exception.h>

#include <cstring>
#include <exception>
#include <new>
#include <string>

namespace psc {

// Thrown where a hook reported failure. Deliberately not a std::exception: TorchScript's interpreter would turn one
// into a bare runtime_error, and the caller could no longer tell a failed hook from a failed operator.
struct HookFailed {
  const char *why = "a hook failed";
};

// Thrown where a hook on a gradient reported failure: the autograd engine passes only std::exceptions from its nodes to
// the caller.
struct GradientHookFailed final : std::exception {
  const char *what() const noexcept override { return "a hook on a gradient failed"; }
};

// Stores the sentence for psc_last_error() and returns the code. Never throws.
int32_t fail(int32_t code, const char *message) noexcept;

// Sets this thread's number of OpenMP threads to the number that any thread set last: OpenMP has one number for each
// thread.
void follow_threads();

// Stores a text that is returned as PSC_STATIC: it is valid until this thread's next call that returns text.
const char *keep_text(std::string text);

inline bool says_out_of_memory(const char *message) {
  return std::strstr(message, "can't allocate memory") || std::strstr(message, "out of memory");
}

// Errors inside TorchScript are texts: the traceback, then "RuntimeError: " and the sentence that names the error.
inline const char *last_sentence(const char *message) {
  const char *mark = "RuntimeError: ";
  const char *found = message;
  for (const char *at = message; (at = std::strstr(at, mark)) != nullptr;) found = at += std::strlen(mark);
  return found;
}

// Some errors of libtorch can be told apart only by their text: its CPU allocator and its dtype dispatch throw plain
// errors, and an exception inside TorchScript loses its type.
inline int32_t fail_with(int32_t code, const char *message) noexcept {
  if (says_out_of_memory(message))
    code = PSC_ERR_OUT_OF_MEMORY;
  else if (std::strstr(message, "not implemented for '"))
    code = PSC_ERR_NOT_IMPLEMENTED;
  else if (std::strstr(message, "index out of range"))
    code = PSC_ERR_INDEX;
  return fail(code, last_sentence(message));
}

template <class Body>
int32_t guard(Body &&body) noexcept {
  try {
    follow_threads();
    body();
    return PSC_OK;
  } catch (const HookFailed &e) {
    return fail(PSC_ERR_CALLBACK, e.why);
  } catch (const GradientHookFailed &e) {
    return fail(PSC_ERR_CALLBACK, e.what());
  } catch (const c10::OutOfMemoryError &e) {
    return fail(PSC_ERR_OUT_OF_MEMORY, e.what_without_backtrace());
  } catch (const c10::IndexError &e) {
    return fail_with(PSC_ERR_INDEX, e.what_without_backtrace());
  } catch (const c10::NotImplementedError &e) {
    return fail_with(PSC_ERR_NOT_IMPLEMENTED, e.what_without_backtrace());
  } catch (const c10::Error &e) {
    return fail_with(PSC_ERR_VALUE, e.what_without_backtrace());
  } catch (const std::bad_alloc &) {
    return fail(PSC_ERR_OUT_OF_MEMORY, "the host is out of memory");
  } catch (const std::exception &e) {
    return fail_with(PSC_ERR_VALUE, e.what());
  } catch (...) {
    return fail(PSC_ERR_UNKNOWN, "an exception of an unknown type");
  }
}

}  // namespace psc
