package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	oursName = "sqlqueue"
	bareName = "bare loop"
)

// product is a system's name without its settings and its engine.
func product(system string) string {
	name, _, _ := strings.Cut(system, " (")
	name, _, _ = strings.Cut(name, "/")
	return name
}

// summary writes one table: a row for each workload, a column for each product, and how ours compares. Cells are medians with their ranges,
// of jobs per second, or of p50 and p95 in milliseconds where waiting times were measured.
func (r report) summary(w io.Writer) {
	products := []string{oursName, bareName}
	for _, s := range r.Sections {
		for _, m := range s.Systems {
			if name := product(m.System); !slices.Contains(products, name) {
				products = append(products, name)
			}
		}
	}
	titles := append(append([]string{""}, products...), "of the bare loop", "× the best peer")
	row(w, titles)
	row(w, slices.Repeat([]string{"---"}, len(titles)))
	for _, s := range r.Sections {
		cells := []string{"`" + s.Workload + "`"}
		for _, name := range products {
			cells = append(cells, s.cell(name))
		}
		row(w, append(cells, s.ofBare(), s.bestPeer()))
	}
}

// of returns the results of a product, or nil.
func (s section) of(name string) []result {
	for _, m := range s.Systems {
		if product(m.System) == name {
			return m.Results
		}
	}
	return nil
}

func (s section) timed() bool { return strings.HasPrefix(s.Workload, "latency") }

func (s section) cell(name string) string {
	results := s.of(name)
	if results == nil {
		return "–"
	}
	if s.timed() {
		return fmt.Sprintf("%s / %s ms", number(spreadOf(results, p50).median), number(spreadOf(results, p95).median))
	}
	v := spreadOf(results, rate)
	if v.low == v.high {
		return thousands(v.median)
	}
	return fmt.Sprintf("%s (%s–%s)", thousands(v.median), thousands(v.low), thousands(v.high))
}

func p50(r result) float64 { return r.P50 }
func p95(r result) float64 { return r.P95 }

// thousands writes a rate with three digits that count.
func thousands(v float64) string {
	if v < 10_000 {
		return number(v)
	}
	return number(v/1000) + "k"
}

func (s section) ofBare() string {
	ours, bare := s.of(oursName), s.of(bareName)
	if ours == nil || bare == nil || s.timed() {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*spreadOf(ours, rate).median/spreadOf(bare, rate).median)
}

// bestPeer returns how many times as good ours is as the best peer: as fast, or waiting as short a time in the median.
func (s section) bestPeer() string {
	goodness := func(results []result) float64 {
		if s.timed() {
			return 1 / spreadOf(results, p50).median
		}
		return spreadOf(results, rate).median
	}
	best, who := 0.0, ""
	for _, m := range s.Systems {
		name := product(m.System)
		if m.Results == nil || name == oursName || name == bareName {
			continue
		}
		if g := goodness(m.Results); g > best {
			best, who = g, name
		}
	}
	ours := s.of(oursName)
	if ours == nil || who == "" {
		return "–"
	}
	return fmt.Sprintf("%s (%s)", number(goodness(ours)/best), who)
}
