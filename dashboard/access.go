package dashboard

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// User is the sender of a request.
type User struct {
	Name string // shown on the page; may be empty
	Role Role
}

// Role is what a user may do. The zero value may do nothing.
type Role int

// The roles, each with the rights of those before it.
const (
	Viewer   Role = iota + 1 // looks
	Operator                 // retries, cancels, edits and pushes jobs, and controls queues and workers
	Admin                    // deletes for good: clears queues and forgets failed jobs; decides to which URLs jobs are sent
)

// String returns viewer, operator or admin.
func (r Role) String() string {
	return map[Role]string{Viewer: "viewer", Operator: "operator", Admin: "admin"}[r]
}

// permission is the right that a route needs.
type permission int

const (
	view permission = iota + 1
	retry
	cancel
	edit
	push
	control
	destroy
	subscribe
)

func (p permission) String() string {
	return [...]string{"", "view", "retry", "cancel", "edit", "push", "control", "destroy", "subscribe"}[p]
}

// may reports whether a user has a right.
func (d *Dashboard) may(u User, p permission) bool {
	switch {
	case u.Role < Viewer || u.Role > Admin:
		return false
	case p == view:
		return true
	case d.config.ReadOnly:
		return false
	case p == destroy, p == subscribe:
		return u.Role == Admin
	}
	return u.Role >= Operator
}

// admit returns the sender of a request, or the key of a text that says why it is not served.
func (d *Dashboard) admit(r *http.Request) (user User, refused string) {
	local := isLoopbackPeer(r) && !isForwarded(r)
	if local && !d.isOwnHost(r.Host) {
		return User{}, "refused.host"
	}
	if d.config.Access == nil {
		if !local {
			return User{}, "refused.closed"
		}
		return User{Role: Admin}, ""
	}
	user, err := d.config.Access(r)
	if err != nil || user.Role < Viewer {
		return User{}, "refused.access"
	}
	return user, ""
}

func isLoopbackPeer(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// isForwarded reports whether a proxy has forwarded the request.
func isForwarded(r *http.Request) bool {
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

// isOwnHost reports whether a Host header names this machine, and is not another name that resolves to it.
func (d *Dashboard) isOwnHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || slices.ContainsFunc(d.config.Hosts, func(own string) bool { return strings.EqualFold(own, host) })
}
