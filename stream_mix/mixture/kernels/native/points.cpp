#include "points.hpp"

#include <cmath>
#include <cstring>
#include <string_view>

#include "checksum.hpp"

namespace stream_mix {
namespace {

// Reads MessagePack forward. A form that is not expected ends it: `good` is false from then on.
class Reader {
  public:
    explicit Reader(Span message) : at_(message.data), end_(message.data + message.size) {}

    bool good() const { return good_; }
    bool done() const { return good_ && at_ == end_; }

    std::uint64_t map() {
        const unsigned form = next();
        return (form & 0xf0) == 0x80 ? form & 0x0f : form == 0xde ? number(2) : fail();
    }
    std::uint64_t array() {
        const unsigned form = next();
        return (form & 0xf0) == 0x90 ? form & 0x0f : form == 0xdc ? number(2) : fail();
    }
    std::uint64_t natural() {
        const unsigned form = next();
        return form < 0x80 ? form : form >= 0xcc && form <= 0xcf ? number(1u << (form - 0xcc)) : fail();
    }
    Span string() {
        const unsigned form = next();
        return take((form & 0xe0) == 0xa0 ? form & 0x1f : form >= 0xd9 && form <= 0xda ? number(form - 0xd8) : fail());
    }
    Span bytes() {
        const unsigned form = next();
        return take(form >= 0xc4 && form <= 0xc6 ? number(1u << (form - 0xc4)) : fail());
    }

  private:
    std::uint64_t fail() {
        good_ = false;
        return 0;
    }
    unsigned next() { return at_ < end_ ? *at_++ : static_cast<unsigned>(fail()) | 0xc1; }
    std::uint64_t number(std::size_t size) {
        const Span digits = take(size);
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < digits.size; ++i) value = value << 8 | digits.data[i];
        return value;
    }
    Span take(std::uint64_t size) {
        if (!good_ || size > static_cast<std::uint64_t>(end_ - at_)) {
            fail();
            return {};
        }
        const Span found{at_, static_cast<std::size_t>(size)};
        at_ += size;
        return found;
    }

    const unsigned char *at_, *end_;
    bool good_ = true;
};

std::string_view text(Span span) { return {reinterpret_cast<const char*>(span.data), span.size}; }

// What a message says once each.
struct Said {
    Span kind, dtype;
    std::uint64_t version = 0, crc = 0;
    bool summed = false, sized[2] = {};
};

bool once(bool& before) {
    if (before) return false;
    return before = true;
}

bool read_features(Reader& reader, const Bounds& bounds, Points& points) {
    if (!once(points.named)) return false;
    const std::uint64_t count = reader.array();
    for (std::uint64_t i = 0; i < count && reader.good(); ++i) {
        const Span name = reader.string();
        if (name.size > bounds.string) return false;
        points.features.push_back(name);
    }
    return true;
}

bool read_field(Reader& reader, std::string_view key, const Bounds& bounds, Points& points, Said& said) {
    const auto fill = [](Span& place, Span value) {
        if (place) return false;
        place = value;
        return true;
    };
    if (key == "x") return fill(points.x, reader.bytes());
    if (key == "t") return fill(points.t, reader.bytes());
    if (key == "w") return fill(points.w, reader.bytes());
    if (key == "kind") return fill(said.kind, reader.string());
    if (key == "dtype") return fill(said.dtype, reader.string());
    if (key == "source") return fill(points.source, reader.string()) && points.source.size <= bounds.string;
    if (key == "features") return read_features(reader, bounds, points);
    if (key == "v") return !said.version && (said.version = reader.natural()) == 1;
    if (key == "n") return once(said.sized[0]) && (points.n = reader.natural(), true);
    if (key == "d") return once(said.sized[1]) && (points.d = reader.natural(), true);
    if (key == "seq") return once(points.numbered) && (points.seq = reader.natural()) <= bounds.seq;
    if (key == "crc") return once(said.summed) && (said.crc = reader.natural(), true);
    return false;
}

// Rows, features and cells within the bounds, and every column as long as they say.
bool fits(const Points& points, const Bounds& bounds) {
    const std::uint64_t n = points.n, d = points.d;
    if (n < 1 || d < 1 || n > bounds.rows || d > bounds.features || n * d > bounds.cells) return false;
    const auto column = [n](Span span) { return !span || span.size == 8 * n; };
    return points.x && points.x.size == n * d * (points.single ? 4 : 8) && column(points.t) && column(points.w) &&
           (!points.named || (points.features.size() == d && d <= bounds.rows));
}

template <class Number>
bool widened(Span numbers, double most, double* out) {
    const std::size_t count = numbers.size / sizeof(Number);
    std::uint64_t beyond = 0;
    for (std::size_t i = 0; i < count; ++i) {
        Number value;
        std::memcpy(&value, numbers.data + i * sizeof value, sizeof value);
        out[i] = static_cast<double>(value);
        beyond |= !(std::fabs(out[i]) <= most);
    }
    return !beyond;
}

}  // namespace

bool read_points(Span message, const Bounds& bounds, Points& points) {
    Reader reader(message);
    Said said;
    const std::uint64_t fields = reader.map();
    for (std::uint64_t i = 0; i < fields; ++i) {
        const Span key = reader.string();
        if (!reader.good() || !read_field(reader, text(key), bounds, points, said) || !reader.good()) return false;
    }
    if (!reader.done() || said.version != 1 || text(said.kind) != "points") return false;
    points.single = text(said.dtype) == "f4";
    if (!(points.single || text(said.dtype) == "f8") || !fits(points, bounds)) return false;
    return !said.summed || crc32(points.x.data, points.x.size) == said.crc;
}

bool take_numbers(Span numbers, bool single, double most, double* out) {
    return single ? widened<float>(numbers, most, out) : widened<double>(numbers, most, out);
}

bool take_weights(Span numbers, double most, double* out) {
    if (!take_numbers(numbers, false, most, out)) return false;
    bool above = true;
    for (std::size_t i = 0; i < numbers.size / sizeof *out; ++i) above &= out[i] > 0.0;
    return above;
}

}  // namespace stream_mix
