// Rows cut into groups that depend on nothing but the problem, so that sums do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <type_traits>

namespace stream_mix {

// Calls step(work, group) for each of `groups`, on up to `threads` threads: this one, and others that are kept waiting
// for such work. An exception of one ends it all and is thrown here. In a process that was forked off there are none of
// the threads of the one before: it gets its own.
void run_groups(std::int64_t groups, int threads, void (*step)(void*, std::int64_t), void* work);

template <class Work>
void in_groups(std::int64_t groups, int threads, Work&& work) {
    using Own = std::remove_reference_t<Work>;
    run_groups(groups, threads, [](void* self, std::int64_t group) { (*static_cast<Own*>(self))(group); }, &work);
}

}  // namespace stream_mix
