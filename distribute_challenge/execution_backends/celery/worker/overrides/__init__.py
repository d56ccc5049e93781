"""What a worker does in another way than Celery, kombu and billiard: all that reaches into them stands here."""
