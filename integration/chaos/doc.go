// Package chaos breaks what sqlqueue runs on, while it runs, and checks what happened against what was promised.
//
// A world is a database, worker processes (Command worker), which a supervisor starts again whenever they end, and producers in the
// process of the test. All talk to the server through a proxy. Faults are done to it one at a time. What the producers and the
// workers did stands in files of their own, the history: each line is written before, or after, what it tells of, so that a process can be
// killed anywhere. At the end everything must come to rest, and Check compares the history with the tables.
package chaos
