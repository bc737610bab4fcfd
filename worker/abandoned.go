package worker

import (
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// abandonFor is how long the number of an exchange without an answer is repeated where reservations never expire.
const abandonFor = 10 * time.Minute

// abandonedNumbers are the numbers of exchanges whose answers never came. Such an exchange may have reserved jobs that this worker
// does not know of; later exchanges give them back. Doing so once is not enough, because the exchange may still be under way in the
// database: its number is repeated until what it may have reserved has expired.
type abandonedNumbers []abandonedNumber

type abandonedNumber struct {
	number       string
	until        time.Time // by then what it has reserved has expired
	acknowledged bool      // an exchange that gives it back was answered
}

// add remembers an exchange whose answer is not known.
func (a *abandonedNumbers) add(x driver.Exchange, now time.Time) {
	until := now
	for _, r := range x.Reserve {
		lasts := r.Expire
		if lasts == 0 {
			lasts = abandonFor
		}
		until = later(until, now.Add(lasts))
	}
	*a = append(*a, abandonedNumber{number: x.Number, until: until})
}

// numbers are those to give back now.
func (a *abandonedNumbers) numbers(now time.Time) (numbers []string) {
	*a = slices.DeleteFunc(*a, func(n abandonedNumber) bool { return n.acknowledged && now.After(n.until) })
	for _, n := range *a {
		numbers = append(numbers, n.number)
	}
	return numbers
}

// acknowledge notes that an exchange which gives these numbers back was answered.
func (a *abandonedNumbers) acknowledge(numbers []string) {
	for i := range *a {
		if n := &(*a)[i]; slices.Contains(numbers, n.number) {
			n.acknowledged = true
		}
	}
}

// allAcknowledged reports whether each number was given back at least once.
func (a *abandonedNumbers) allAcknowledged() bool {
	return !slices.ContainsFunc(*a, func(n abandonedNumber) bool { return !n.acknowledged })
}
