// The engines command runs the conformance suite, and a test that kills nodes, on engines that go beyond one server. It is what make
// engines runs, in the directory of the integration module:
//
//	engines [-list] [-kills] [-turn N] [NAME…]
//
// Without names it runs all, one after the other. Each has a recipe, a script in recipes/ that gets it, starts its nodes on the loopback
// interface, and kills and starts them. What cannot be had here is listed with the reason; that is no failure. What is there and fails is.
//
// A recipe is called with a directory in $DIR, and:
//
//	up          starts the nodes and prints their addresses, one a line, of an empty database on which all is allowed;
//	            exit code 3: it cannot be had here, and the last line of stderr says why
//	kill N      kills node N, from 1
//	start N     starts node N, and waits until it serves
//	down        ends all nodes
//
// An address in SQLQUEUE_ENGINE_NAME (upper case, _ for -) is used instead of the recipe; nodes of such an engine are not killed.
package main
