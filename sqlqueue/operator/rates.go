package operator

import (
	"math"
	"time"
)

// Rates is what happened in a queue in some whole minutes: how many jobs a minute, to two digits after the point.
type Rates struct {
	Minutes  int     `json:"minutes"` // over how many they are taken
	Pushed   float64 `json:"pushed"`
	Done     float64 `json:"done"`
	Failed   float64 `json:"failed"`
	Released float64 `json:"released"`
	AtLeast  bool    `json:"pushed_at_least,omitzero"` // more may have been pushed
}

// Rates returns the rates of a queue in the last whole minutes: the present minute does not count.
func (c *Counts) Rates(queue string, last time.Duration) Rates {
	end := c.Now.Truncate(time.Minute)
	begin := end.Add(-last)
	var sum Count
	for _, m := range c.Minutes {
		if m.Queue == queue && !m.Minute.Before(begin) && m.Minute.Before(end) {
			sum.Pushed += m.Pushed
			sum.Done += m.Done
			sum.Failed += m.Failed
			sum.Released += m.Released
		}
	}
	each := func(n int64) float64 { return math.Round(float64(n)/last.Minutes()*100) / 100 }
	return Rates{
		int(last.Minutes()), each(sum.Pushed), each(sum.Done), each(sum.Failed), each(sum.Released),
		c.PushedSince.After(begin),
	}
}
