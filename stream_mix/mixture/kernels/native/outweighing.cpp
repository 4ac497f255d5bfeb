// Whether a row of a batch may outweigh a component (outweighing.py): then Python learns the batch.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "folder.hpp"

namespace stream_mix {

// What is asked of a batch whose rows are looked at for one that outweighs a component.
Said Folder::weighed(const Rows& rows, const Said& said, double least) {
    Said all = said;
    if (least < INFINITY && !all.answers.log_density && !all.answers.own) {
        own_.resize(rows.n);
        all.answers.own = own_.data();
    }
    return all;
}

// outweighing.suspicious
bool Folder::outweighs(const Folded& folded, const Rows& rows, const double* weights, const Said& said,
                       double least) const {
    if (!(least < INFINITY)) return false;
    const double* masses = folded.record().mass;
    const double mass = std::accumulate(masses, masses + mixture_.k, 0.0), k = static_cast<double>(mixture_.k);
    if (mass < least) return false;
    const double limit = static_cast<double>(mixture_.d) * std::max(mass / k, least);
    // The density of a row is no more than k times its part in the likeliest component.
    const double* told = said.answers.log_density;
    const double top = mixture_.peak[0] + (told ? std::log(k) - log_scale_ : 0.0);
    if (!told) told = said.answers.own;
    double most = 0.0;
    for (std::int64_t i = 0; i < rows.n; ++i) most = std::max(most, (weights ? weights[i] : 1.0) * (top - told[i]));
    // Python says whether one does; rounding must not keep the batch from it.
    return 2.0 * most > 0.999 * limit;
}

}  // namespace stream_mix
