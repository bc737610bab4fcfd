package driver

import "strings"

// IsPattern reports whether a name stands for all queues below a level: mail/* for mail/1, mail/eu/2 and so on, not for mail itself. A lone *
// stands for all queues that there are.
func IsPattern(name string) bool {
	return name == "*" || strings.HasSuffix(name, "/*") && len(name) > len("/*")
}

// Level is what the names of all queues of a pattern begin with: mail/ for mail/*, and nothing for *.
func Level(pattern string) string { return strings.TrimSuffix(pattern, "*") }

// InPattern reports whether a pattern stands for a queue.
func InPattern(pattern, queue string) bool {
	return IsPattern(pattern) && len(queue) >= len(pattern) && strings.HasPrefix(queue, Level(pattern))
}
