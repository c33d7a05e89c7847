"""What all tasks of perception share: pictures with labels, learning from them, and judging in held-out towns."""
