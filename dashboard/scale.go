package dashboard

import (
	"fmt"
	"math"
	"time"
)

// scale is that of a chart, 1000 wide and 140 high.
type scale struct {
	n     int     // steps of time
	apart float64 // of two lines of the grid
	most  float64 // the number at the top
}

const chartWidth, chartHeight = 1000.0, 140.0

// scaleOf fits numbers of each line into a chart.
func scaleOf(lines ...[]int64) scale {
	n, top := 0, int64(1)
	for _, numbers := range lines {
		n = max(n, len(numbers))
		for _, number := range numbers {
			top = max(top, number)
		}
	}
	apart := float64(niceStep(top))
	return scale{n, apart, apart * math.Ceil(float64(top)/apart)}
}

func (s scale) x(i int) float64          { return chartWidth * float64(i) / float64(max(s.n-1, 1)) }
func (s scale) y(number float64) float64 { return chartHeight - chartHeight*number/s.most }

type tick struct {
	At     string // in the drawing, or in percent
	TextAt string
	Text   string
}

// ticks are the numbers beside the lines of the grid.
func (s scale) ticks(write func(int64) string) (ticks []tick) {
	for v := 0.0; v <= s.most; v += s.apart {
		y := s.y(v)
		ticks = append(ticks, tick{fmt.Sprintf("%.4g", y), fmt.Sprintf("%.4g", y+12), write(int64(v))})
	}
	return ticks
}

// niceStep is 1, 2 or 5 times a power of ten, such that at most five steps reach most.
func niceStep(most int64) int64 {
	step := int64(1)
	for i := 0; (most-1)/step+1 > 5; i++ {
		if i%3 == 1 {
			step = step / 2 * 5
		} else {
			step *= 2
		}
	}
	return step
}

// ticksApart are the times between two labels of a time axis, of which the least is taken that leaves at most seven. Longer ones are days,
// whose labels are wider: they leave at most six.
var ticksApart = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
}

// timeTicks are the times below a chart of n steps.
func timeTicks(begin time.Time, step time.Duration, n int) (ticks []tick) {
	const day = 24 * time.Hour
	span := time.Duration(n-1) * step
	apart := (span/6 + day).Truncate(day)
	for _, d := range ticksApart {
		if span < 7*d {
			apart = d
			break
		}
	}
	for at := begin.Truncate(apart).Add(apart); span > 0 && at.Sub(begin) <= span; at = at.Add(apart) {
		text := timeText(at, span+step)
		if apart >= day {
			text = at.UTC().Format("Jan 2")
		}
		ticks = append(ticks, tick{At: fmt.Sprintf("%.2f%%", 100*float64(at.Sub(begin))/float64(span)), Text: text})
	}
	return ticks
}

// timeText writes a time of a chart of a span: with the day if that is more than two.
func timeText(at time.Time, span time.Duration) string {
	if span > 50*time.Hour {
		return at.UTC().Format("Jan 2 15:04")
	}
	return at.UTC().Format("15:04")
}
