// Section "error" of psc.h: the last error of each thread.
#include "guard.h"

namespace {
thread_local std::string last_error;
thread_local std::string last_text;
}  // namespace

namespace psc {

int32_t fail(int32_t code, const char *message) noexcept {
  try {
    while (*message == '\n' || *message == ' ') message++;
    last_error = message;
    while (!last_error.empty() && last_error.back() == '\n') last_error.pop_back();
  } catch (...) {
    last_error.clear();  // no memory for the sentence: only the code is returned
  }
  return code;
}

const char *keep_text(std::string text) {
  last_text = std::move(text);
  return last_text.c_str();
}

}  // namespace psc

const char *psc_last_error(void) { return last_error.c_str(); }
