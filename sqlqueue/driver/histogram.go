package driver

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// histogramBuckets is how many buckets a Histogram has: enough for 25 days.
const histogramBuckets = 160

// Histogram counts durations in buckets, four for each power of two of microseconds: a bucket is at most a quarter as wide as its
// beginning. Shorter durations than 4 µs are exact to a microsecond, and all from 25 days on share the last bucket. The zero value is
// empty. It is not safe for concurrent use.
type Histogram struct{ counts [histogramBuckets]uint64 }

// Add counts a duration. A negative one counts as 0.
func (h *Histogram) Add(d time.Duration) { h.counts[bucketOf(d)]++ }

func bucketOf(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	if us < 4 {
		return int(us)
	}
	power := bits.Len64(us) - 1
	return min((power-1)*4+int(us>>(power-2)&3), histogramBuckets-1)
}

// bucketBegin is the least duration of a bucket, in microseconds.
func bucketBegin(i int) uint64 {
	if i < 4 {
		return uint64(i)
	}
	return uint64(4+i%4) << (i/4 - 1)
}

// Count is how many durations were added.
func (h *Histogram) Count() (n uint64) {
	for _, count := range h.counts {
		n = plus(n, count)
	}
	return n
}

// Merge adds all durations of another histogram.
func (h *Histogram) Merge(other *Histogram) {
	for i, count := range other.counts {
		h.counts[i] = plus(h.counts[i], count)
	}
}

// plus is a sum that stays at the greatest number.
func plus(a, b uint64) uint64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxUint64
}

// Quantile is the duration that a share q of all durations do not exceed: 0.95 for the 95th percentile. It is off by less than the width of
// a bucket. 0 if the histogram is empty.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank, before := math.Ceil(min(max(q, 0), 1)*float64(h.Count())), 0.0
	rank = max(rank, 1)
	for i, count := range h.counts {
		n := float64(count)
		if n > 0 && before+n >= rank {
			begin, end := float64(bucketBegin(i)), float64(bucketBegin(i+1))
			return time.Duration((begin + (end-begin)*(rank-before-0.5)/n) * float64(time.Microsecond))
		}
		before += n
	}
	return 0
}

// String writes the histogram for a column of text: base64 of two varints for each bucket that is not empty, how many buckets to skip and
// the count. It takes 3 bytes for one duration, and about 150 for ten thousand. Empty: no durations.
func (h *Histogram) String() string {
	var room [histogramBuckets * (2 + binary.MaxVarintLen64)]byte
	text, next := room[:0], 0
	for i, count := range h.counts {
		if count > 0 {
			text = binary.AppendUvarint(text, uint64(i-next))
			text = binary.AppendUvarint(text, count)
			next = i + 1
		}
	}
	return base64.RawStdEncoding.EncodeToString(text)
}

// MergeText adds all durations of a histogram that String has written, or nothing if the text is anything else.
func (h *Histogram) MergeText(text string) error {
	var room [histogramBuckets * (2 + binary.MaxVarintLen64)]byte
	if base64.RawStdEncoding.DecodedLen(len(text)) > len(room) {
		return fmt.Errorf("a histogram of %d bytes: it has at most %d", len(text), base64.RawStdEncoding.EncodedLen(len(room)))
	}
	n, err := base64.RawStdEncoding.Decode(room[:], []byte(text))
	if err != nil {
		return fmt.Errorf("a histogram: %w", err)
	}
	var other Histogram
	for next, left := uint64(0), room[:n]; len(left) > 0; next++ {
		gap, a := binary.Uvarint(left)
		count, b := binary.Uvarint(left[max(a, 0):])
		if next += min(gap, histogramBuckets); a <= 0 || b <= 0 || next >= histogramBuckets {
			return fmt.Errorf("a histogram that is cut off, or has more than %d buckets", histogramBuckets)
		}
		other.counts[next] = count
		left = left[a+b:]
	}
	h.Merge(&other)
	return nil
}
