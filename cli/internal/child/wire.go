package child

// message goes between a Pool and a child of it, as a line of JSON. To the child: Request or End. From it: Started, then Answer.
type message struct {
	Job     int    `json:"job"` // counts the jobs of the child
	Request []byte `json:"request,omitempty"`
	End     string `json:"end,omitempty"` // why the job's context ends
	Started bool   `json:"started,omitempty"`
	Answer  []byte `json:"answer,omitempty"`
}

// variable has the number of a child's end of the socket.
const variable = "SQLQUEUE_CHILD"
