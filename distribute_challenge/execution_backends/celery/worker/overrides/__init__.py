"""What a worker does in another way than Celery, kombu and billiard: all that reaches into them
stands here.

`private_names` lists what they do not promise and is used all the same.
"""
