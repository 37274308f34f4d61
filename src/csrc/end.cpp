// The end of the process without the destructors of its libraries.
#include <unistd.h>

extern "C" {

[[noreturn]] void fer_end(int code) { _exit(code); }

}
