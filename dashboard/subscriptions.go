package dashboard

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// subscriptionRow is a subscription as the page shows it.
type subscriptionRow struct {
	operator.Subscription
	Host   string // of the URL, with its scheme: the rest of it may be a secret
	Signed bool
	In     queueRow // its queue
}

type subscriptionsData struct {
	Rows   []subscriptionRow
	Form   subscriptionForm
	Secret string // of the new subscription, which is shown only once
	Made   string // its name
}

// subscriptionForm is a subscription as typed.
type subscriptionForm struct {
	Name, URL, Queue string
	Unsigned         bool
	Wrong            string
}

func (v *visit) subscriptionsPage() error {
	return v.showSubscriptions(http.StatusOK, subscriptionsData{})
}

func (v *visit) showSubscriptions(status int, d subscriptionsData) error {
	all, err := v.operator.Subscriptions(v.ctx())
	if err != nil {
		return err
	}
	s, err := v.look()
	if err != nil {
		return err
	}
	for _, of := range all {
		row := subscriptionRow{Subscription: of, Host: hostOf(of.URL), Signed: of.Secret != ""}
		row.In = rowOf(v.language, operator.QueueInfo{Queue: of.Queue, CountedTo: countedTo}, s)
		if i := slices.IndexFunc(s.Queues, func(info operator.QueueInfo) bool { return info.Queue == of.Queue }); i >= 0 {
			row.In = rowOf(v.language, s.Queues[i], s)
		}
		d.Rows = append(d.Rows, row)
	}
	live := v.r.Method == http.MethodGet
	return v.render(status, "subscriptions", &page{Title: v.say("subscriptions"), Here: "subscriptions", Live: live, D: d})
}

// hostOf is the part of a URL that is certainly not secret.
func hostOf(text string) string {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" {
		return mask
	}
	return parsed.Scheme + "://" + parsed.Host
}

// subscribe creates a subscription, and shows its secret.
func (v *visit) subscribe() error {
	typed := subscriptionForm{Name: v.form("name"), URL: v.form("url"), Queue: v.form("queue"), Unsigned: v.form("unsigned") != ""}
	keep := func(text string) error {
		typed.Wrong = text
		return v.showSubscriptions(http.StatusUnprocessableEntity, subscriptionsData{Form: typed})
	}
	_, err := v.operator.Subscription(v.ctx(), typed.Name)
	if err == nil {
		return keep(v.say("subscription.exists"))
	}
	if !errors.Is(err, operator.ErrNoSubscription) {
		return err
	}
	s := operator.Subscription{Name: typed.Name, URL: typed.URL, Queue: typed.Queue}
	if !typed.Unsigned {
		s.Secret = newSecret()
	}
	err = v.operator.Subscribe(v.ctx(), s)
	switch {
	case err != nil && v.isAsked(err):
		return keep(v.reason(said(err)))
	case err != nil:
		return err
	}
	return v.showSubscriptions(http.StatusOK, subscriptionsData{Secret: s.Secret, Made: s.Name})
}

// newSecret returns a secret in the form of Standard Webhooks.
func newSecret() string {
	const size = 32
	key := make([]byte, size)
	_, _ = rand.Read(key) // it never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

func (v *visit) unsubscribe() error {
	if err := v.operator.Unsubscribe(v.ctx(), v.query.Get("name")); err != nil {
		return v.refusal(err)
	}
	return v.done("subscriptions", nil, "removed", -1)
}

func (v *visit) apiSubscriptions() error {
	all, err := v.operator.Subscriptions(v.ctx())
	if err != nil {
		return err
	}
	return writeList(v, all, func(s operator.Subscription) operator.Subscription {
		s.URL = hostOf(s.URL)
		return s
	})
}
