# Nobody else's queue may use the dead-letter queue, in which its messages would pass for failures here.
# Stands apart because older providers, among them the one that the tests apply with, do not know it.

resource "aws_sqs_queue_redrive_allow_policy" "dead_letter" {
  queue_url = aws_sqs_queue.dead_letter.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.queue.arn]
  })
}
