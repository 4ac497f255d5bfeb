#include "threads.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace stream_mix {
namespace {

// How long a thread looks for more work before it sleeps: a few times what it takes to wake it, so that batches of a
// thousand rows that follow one another find it awake.
constexpr std::chrono::microseconds PATIENCE{100};

// Looks until the condition holds, or for so long as patience lasts.
template <class Condition>
void look(Condition&& condition) {
    const auto end = std::chrono::steady_clock::now() + PATIENCE;
    while (!condition() && std::chrono::steady_clock::now() < end) {
    }
}

struct Job {
    std::int64_t groups;
    void (*step)(void*, std::int64_t);
    void* work;
    int wanted;                        // other threads, at most
    std::atomic<int> helpers{0};       // other threads at work now; changed under the pool's lock
    std::atomic<std::int64_t> next{0};
    std::mutex guard;
    std::exception_ptr failure;

    Job(std::int64_t n, void (*call)(void*, std::int64_t), void* self, int others)
        : groups(n), step(call), work(self), wanted(others) {}

    bool open() const { return helpers < wanted && next < groups; }

    void loop() {
        try {
            for (std::int64_t group; (group = next.fetch_add(1)) < groups;) step(work, group);
        } catch (...) {
            const std::lock_guard<std::mutex> lock(guard);
            failure = std::current_exception();
            next = groups;
        }
    }
};

// While one lives, threads that this one starts take no signals. Those are for Python's own, or a system call of Python's
// would not be interrupted; but a fault is its thread's alone, and blocked it would end the process without a handler.
class Quiet {
  public:
    Quiet() {
        sigset_t most;
        sigfillset(&most);
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigdelset(&most, fault);
        pthread_sigmask(SIG_SETMASK, &most, &before_);
    }
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;
    ~Quiet() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_;
};

class Pool {
  public:
    const pid_t owner = getpid();

    void run(Job& job) {
        {
            const std::lock_guard<std::mutex> lock(guard_);
            grow(job.wanted);
            jobs_.push_back(&job);
            ++given_;
            if (asleep_) wake_.notify_all();
        }
        job.loop();
        look([&] { return job.helpers == 0; });
        std::unique_lock<std::mutex> lock(guard_);
        jobs_.erase(std::find(jobs_.begin(), jobs_.end(), &job));
        done_.wait(lock, [&] { return job.helpers == 0; });
    }

  private:
    void grow(int wanted) {
        if (workers_ >= wanted) return;
        const Quiet quiet;
        try {
            for (; workers_ < wanted; ++workers_) std::thread([this] { serve(); }).detach();
        } catch (const std::system_error&) {
            // The machine gives no more threads: those that run do all the work.
        } catch (const std::bad_alloc&) {
            // Nor memory for one.
        }
    }

    Job* open() const {
        const auto found = std::find_if(jobs_.begin(), jobs_.end(), [](const Job* job) { return job->open(); });
        return found == jobs_.end() ? nullptr : *found;
    }

    [[noreturn]] void serve() {
        std::unique_lock<std::mutex> lock(guard_);
        for (;;) {
            if (Job* job = open()) {
                ++job->helpers;
                lock.unlock();
                job->loop();
                lock.lock();
                if (--job->helpers == 0) done_.notify_all();
                continue;
            }
            const std::uint64_t before = given_;
            lock.unlock();
            look([&] { return given_ != before; });
            lock.lock();
            ++asleep_;
            wake_.wait(lock, [&] { return given_ != before; });
            --asleep_;
        }
    }

    std::mutex guard_;
    std::condition_variable wake_, done_;
    std::vector<Job*> jobs_;
    std::atomic<std::uint64_t> given_{0};  // jobs so far; changed under the lock
    int workers_ = 0, asleep_ = 0;
};

// That of this process. None is ever taken down: its threads may sleep in it until the process ends, and what a forked
// process has of the one before may be locked for ever.
Pool& pool() {
    static std::atomic<Pool*> current{nullptr};
    for (;;) {
        Pool* found = current;
        if (found && found->owner == getpid()) return *found;
        Pool* made = new Pool;
        if (current.compare_exchange_strong(found, made)) return *made;
        delete made;
    }
}

}  // namespace

void run_groups(std::int64_t groups, int threads, void (*step)(void*, std::int64_t), void* work) {
    Job job(groups, step, work, static_cast<int>(std::min<std::int64_t>(threads, groups)) - 1);
    if (job.wanted > 0)
        pool().run(job);
    else
        job.loop();
    if (job.failure) std::rethrow_exception(job.failure);
}

}  // namespace stream_mix
