"""Tables of trained networks: many trainings, what each of them scores, and their means with intervals."""
