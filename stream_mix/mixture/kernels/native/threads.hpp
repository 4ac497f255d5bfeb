// Rows cut into groups that depend on nothing but the problem, so that sums do not depend on the number of threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace stream_mix {

// Calls work(group) for each of `groups`, on up to `threads` threads. An exception of one ends it all and is thrown
// here.
template <class Work>
void in_groups(std::int64_t groups, int threads, Work&& work) {
    std::atomic<std::int64_t> next{0};
    std::exception_ptr failure;
    std::mutex guard;
    const auto loop = [&] {
        try {
            for (std::int64_t group; (group = next.fetch_add(1)) < groups;) work(group);
        } catch (...) {
            const std::lock_guard<std::mutex> lock(guard);
            failure = std::current_exception();
            next = groups;
        }
    };
    std::vector<std::thread> others;
    others.reserve(static_cast<std::size_t>(threads > 1 ? threads - 1 : 0));
    for (std::int64_t i = 1; i < std::min<std::int64_t>(threads, groups); ++i) {
        try {
            others.emplace_back(loop);
        } catch (const std::system_error&) {
            break;  // the machine gives no more threads; those that run do all the work
        }
    }
    loop();
    for (std::thread& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace stream_mix
