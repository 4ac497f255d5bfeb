// A large mixture in a frame of its own, and the leaves that its rows fall into.
//
// The means are parted into leaves around a few centres. A component is on the list of every leaf that its rows may
// fall into: a row of component j falls nearer to centre b than to centre a with probability
//     Phi(-z),   z = (|m_j - b|^2 - |m_j - a|^2) / (2 s),   s^2 = (b - a)' Sigma_j (b - a),
// a being the centre next to its mean (the margin of a Gaussian along a line), and it is left out where z >= reach.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "mixture.hpp"

namespace stream_mix {

// A mixture as natural.py keeps it, in coordinates y = (x - origin) * inverse_scale - centre.
struct Given {
    Second second;
    bool round;
    std::int64_t k, d;
    const double *origin, *inverse_scale, *centre;  // (d,)
    const double* means;                            // (k, d)
    const double* whiten;                           // diag (k, d), tied (d, d), full (k, d, d)
    const double *weights, *peak;                   // (k,)
};

// Members of each leaf's list, ascending: members[offset[l]] to members[offset[l + 1] - 1].
struct Lists {
    std::vector<std::int64_t> offset;
    std::vector<std::int32_t> members;
    double share = 0.0;  // of the components, that a row of the mixture is looked at with
};

// What a thread computes in, given back for the next piece.
struct Room {
    std::vector<float> bounds;
    std::unique_ptr<char[]> look;
    std::unique_ptr<Pair[]> pairs;
    std::int64_t members = 0;

    void hold(std::int64_t count, const Components& c) {
        if (count <= members) return;
        members = count;
        bounds.resize(list_bounds(count, c.features()));
        look.reset(new char[look_room(count, c.width)]);
        pairs.reset(new Pair[LOOK * (count + 1) + SPARE]);
    }
};

class Rooms {
  public:
    std::unique_ptr<Room> take() {
        const std::lock_guard<std::mutex> lock(guard_);
        if (free_.empty()) return std::make_unique<Room>();
        std::unique_ptr<Room> room = std::move(free_.back());
        free_.pop_back();
        return room;
    }
    void give(std::unique_ptr<Room> room) {
        const std::lock_guard<std::mutex> lock(guard_);
        free_.push_back(std::move(room));
    }

  private:
    std::mutex guard_;
    std::vector<std::unique_ptr<Room>> free_;
};

class Leaves {
  public:
    // Lists can be had for each of the reaches. What `given` points to is not kept.
    Leaves(const Isa& isa, const Given& given, std::vector<double> reaches, int threads);

    const Isa& isa() const { return isa_; }
    const Components& components() const { return components_; }
    Second second() const { return second_; }
    std::int64_t count() const { return count_; }
    std::size_t reaches() const { return reaches_.size(); }
    const double* centre(std::int64_t leaf) const { return centres_.get() + leaf * components_.width; }
    const float* packed() const { return packed_.data(); }
    Lists lists(std::size_t reach) const;
    // Kept from pass to pass.
    Rooms& rooms() const { return rooms_; }

  private:
    void keep(const Given& given);
    void frame_diagonal(const Given& given);
    void frame_triangle(const Given& given, const std::vector<double>& root);
    void invert(const Given& given, int threads);
    void find_leaves();
    void pack_leaves();
    void nearest_leaves();
    void find_margins(int threads);

    const Isa& isa_;
    Second second_;
    Components components_{};
    std::int64_t count_, words_;
    std::vector<double> reaches_, weights_;
    Buffer numbers_, means_, precision_, least_, peak_, diagonal_, triangle_, columns_, whitened_, roots_, centres_;
    std::vector<float> packed_;
    std::vector<std::int32_t> own_;       // the leaf next to each mean
    std::vector<std::uint64_t> listed_;   // (k, reaches, words)
    mutable Rooms rooms_;
};

}  // namespace stream_mix
